import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import {
  type AddressInfo,
  createServer as createTcpServer,
  type ListenOptions,
  type Server as TcpServer,
} from "node:net";
import type { TestContext } from "node:test";
import { temporaryPath } from "./state.ts";

/** What an upstream saw of a request, and answers with. */
export interface SeenRequest {
  readonly upstream: string;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Upstream {
  readonly ip: string;
  readonly port: number;
  /** Requests whose path begins so. */
  count(prefix: string): number;
  /** The last request for a whole path; undefined where there was none. */
  last(url: string): SeenRequest | undefined;
}

/**
 * An application: it answers each request with what it saw, as JSON. A path below `/status/CODE/TIMES/` answers with
 * the status the first times, one below `/never` not at all.
 */
export async function startUpstream(t: TestContext, name: string, ip = "127.0.0.1"): Promise<Upstream> {
  const counts = new Map<string, number>();
  const last = new Map<string, SeenRequest>();
  const server = createServer(answerFor(name, counts, last));
  const port = await listenOn(t, server, ip);
  return {
    ip,
    port,
    count: (prefix) => [...counts].reduce((sum, [path, count]) => (path.startsWith(prefix) ? sum + count : sum), 0),
    last: (url) => last.get(url),
  };
}

/** Such an application at a socket, whose path is answered. */
export async function startUpstreamAtSocket(t: TestContext, name: string): Promise<string> {
  const path = await temporaryPath(t, "app.sock");
  await listen(t, createServer(answerFor(name, new Map(), new Map())), { path });
  return path;
}

function answerFor(name: string, counts: Map<string, number>, last: Map<string, SeenRequest>): RequestListener {
  return ({ method = "", url = "", headers }, response) => {
    const count = (counts.get(url) ?? 0) + 1;
    counts.set(url, count);
    const seen: SeenRequest = { upstream: name, method, url, headers };
    last.set(url, seen);
    if (url.startsWith("/never")) return;
    const [, status, times] = /^\/status\/(\d+)\/(\d+)\//.exec(url) ?? [];
    response.statusCode = status !== undefined && count <= Number(times) ? Number(status) : 200;
    response.setHeader("content-type", "application/json");
    response.setHeader("x-upstream", name);
    response.end(JSON.stringify(seen));
  };
}

/** A TCP application that answers `hello ` and whatever it is sent. */
export async function startEcho(t: TestContext, ip = "127.0.0.1"): Promise<Pick<Upstream, "ip" | "port">> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => socket.write(`hello ${bytes.toString()}`));
  });
  return { ip, port: await listenOn(t, server, ip) };
}

export async function listenOn(t: TestContext, server: TcpServer | Server, ip: string): Promise<number> {
  await listen(t, server, { host: ip, port: 0 });
  const address = server.address() as AddressInfo;
  return address.port;
}

async function listen(t: TestContext, server: TcpServer | Server, where: ListenOptions): Promise<void> {
  // It closes no connection that Envoy may be about to use: such a race is not what is tested.
  if ("keepAliveTimeout" in server) server.keepAliveTimeout = 0;
  const sockets = new Set<{ destroy(): unknown }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, resolve);
  });
  t.after(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
}

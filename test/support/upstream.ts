import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import type { TestContext } from "node:test";

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
}

/**
 * An application: it answers each request with what it saw, as JSON. A path below `/status/CODE/TIMES/` answers with
 * the status the first times, one below `/never` not at all.
 */
export async function startUpstream(t: TestContext, name: string, ip = "127.0.0.1"): Promise<Upstream> {
  const counts = new Map<string, number>();
  const server = createServer(answerFor(name, counts));
  const port = await listenOn(t, server, ip);
  return {
    ip,
    port,
    count: (prefix) => [...counts].reduce((sum, [path, count]) => (path.startsWith(prefix) ? sum + count : sum), 0),
  };
}

function answerFor(name: string, counts: Map<string, number>): RequestListener {
  return ({ method = "", url = "", headers }, response) => {
    const count = (counts.get(url) ?? 0) + 1;
    counts.set(url, count);
    if (url.startsWith("/never")) return;
    const [, status, times] = /^\/status\/(\d+)\/(\d+)\//.exec(url) ?? [];
    response.statusCode = status !== undefined && count <= Number(times) ? Number(status) : 200;
    response.setHeader("content-type", "application/json");
    response.setHeader("x-upstream", name);
    const seen: SeenRequest = { upstream: name, method, url, headers };
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
  const sockets = new Set<{ destroy(): unknown }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, ip, resolve);
  });
  t.after(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  const address = server.address() as AddressInfo;
  return address.port;
}

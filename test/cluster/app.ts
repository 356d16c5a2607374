/**
 * The app of the tests' pods. On 8080 it answers with who it is and what reached it, on 8082 it is healthy by gRPC; on
 * 9000, which is kept out of the mesh (`traffic.sidecar.istio.io/excludeInboundPorts`), it makes requests on the tests' behalf:
 *
 *   GET /call?url=URL            one request: its status (0 where none came) and body
 *   GET /load/start?url=URL      requests without end, each in its turn, by a connection of its own
 *   GET /load/start?keep&url=URL the same by one that is kept until it is asked to be closed
 *   GET /load/stop               how many there were, and how those ended that failed
 */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { request as requestByTls } from "node:https";

const name = process.env.APP_NAME ?? "app";
const REQUEST_TIMEOUT_MS = 10_000;
const FAILURES_KEPT = 20;
/** Between two requests of a load, so that it does not take a whole core. */
const PAUSE_MS = 5;
/** Behind SIGTERM requests are taken until none has come for so long: callers hear later than the app that its pod ends. */
const QUIET_MS = 2000;
/** No longer than that, though: the kubelet waits for 10 s (`terminationGracePeriodSeconds`). */
const LONGEST_END_MS = 7000;
/** What the kubelet asks for tells of no caller. */
const PROBES = new Set(["/ready", "/alive"]);

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Load {
  readonly url: string;
  requests: number;
  readonly failures: string[];
  stopped: boolean;
}

let load: Load | undefined;
let alive = true;
let stopping = false;
let lastRequestAt = 0;

const app = createServer((incoming, outgoing) => {
  const { pathname } = new URL(incoming.url ?? "/", "http://app");
  if (!PROBES.has(pathname)) lastRequestAt = performance.now();
  if (pathname === "/fail-liveness") alive = false;
  const status = pathname === "/alive" && !alive ? 500 : 200;
  send(outgoing, status, { name, host: process.env.HOSTNAME, path: pathname, headers: incoming.headers });
});
const control = createServer((incoming, outgoing) => {
  steer(incoming).then(
    (result) => send(outgoing, 200, result),
    (error: unknown) => send(outgoing, 500, { error: String(error) }),
  );
});

/** `grpc.health.v1.HealthCheckResponse` with `status: SERVING`, behind gRPC's flag and length. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]);
const health = createHttp2Server();
health.on("stream", (stream) => {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(SERVING);
});

app.listen(8080);
health.listen(8082);
control.listen(9000);
process.once("SIGTERM", () => {
  // As apps should: what was begun is finished. A connection that seems idle may have the next request on its way, so each is
  // closed behind an answer, until the proxy has none left.
  stopping = true;
  endWhenQuiet(performance.now());
});

function endWhenQuiet(since: number): void {
  const now = performance.now();
  const end = Math.min(Math.max(since, lastRequestAt) + QUIET_MS, since + LONGEST_END_MS);
  if (now < end) {
    setTimeout(() => endWhenQuiet(since), end - now);
    return;
  }
  app.close(() => process.exit(0));
  app.closeIdleConnections();
}

async function steer(incoming: IncomingMessage): Promise<object> {
  const { pathname, searchParams } = new URL(incoming.url ?? "/", "http://control");
  const url = searchParams.get("url") ?? "";
  const agent = searchParams.has("keep") ? new Agent({ keepAlive: true, maxSockets: 1 }) : false;
  if (pathname === "/call") return call(url);
  if (pathname === "/load/start") {
    load = { url, requests: 0, failures: [], stopped: false };
    void run(load, agent);
    return {};
  }
  if (load === undefined) throw new Error("no load was started");
  if (pathname === "/load/stop") load.stopped = true;
  return { requests: load.requests, failures: load.failures.slice(0, FAILURES_KEPT), failed: load.failures.length };
}

async function run(running: Load, agent: Agent | false): Promise<void> {
  while (!running.stopped) {
    const { status, body } = await call(running.url, agent);
    running.requests++;
    if (status !== 200) running.failures.push(`${new Date().toISOString()} ${status} ${body.slice(0, 200)}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function call(url: string, agent: Agent | false = false): Promise<Answer> {
  return new Promise((resolve) => {
    const send = url.startsWith("https:") ? requestByTls : request;
    // Whoever answers by TLS does so with a certificate made for the test.
    const options = { timeout: REQUEST_TIMEOUT_MS, agent, rejectUnauthorized: false };
    const outgoing = send(url, options, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", (error) => resolve({ status: 0, body: error.message }));
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer in time")));
    outgoing.on("error", (error) => resolve({ status: 0, body: error.message }));
    outgoing.end();
  });
}

function send(outgoing: ServerResponse, status: number, body: object): void {
  outgoing.shouldKeepAlive = !stopping;
  outgoing.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

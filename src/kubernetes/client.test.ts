import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer } from "node:https";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { grpcCertificate } from "../../test/support/grpc-certificate.ts";
import { until } from "../../test/support/until.ts";
import { systemClock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { createKubernetesClient } from "./client.ts";

type Handler = (request: IncomingMessage, answer: ServerResponse) => void;

/** A client of an HTTPS server that gives these answers, one a request, the last one again and again. */
async function clientOf(t: TestContext, ...handlers: readonly Handler[]) {
  const { certificate, rootPem } = await grpcCertificate(t, ["127.0.0.1"]);
  const requests: string[] = [];
  const server = createServer({ cert: certificate.certPem, key: certificate.keyPem }, (request, answer) => {
    const handler = handlers[Math.min(requests.length, handlers.length - 1)];
    requests.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    handler?.(request, answer);
  });
  const agent = new Agent({ keepAlive: true, ca: rootPem });
  server.listen(0, "127.0.0.1");
  await until("the server", () => server.listening);
  t.after(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  let tokens = 1;
  let isClosed = false;
  const results: string[] = [];
  const client = createKubernetesClient({
    metrics: { requested: (result) => results.push(result) },
    connection: {
      server: `https://127.0.0.1:${port}/prefix`,
      credentials: async ({ refresh }) => {
        if (isClosed) throw new TrysailError("unavailable", "closed");
        if (refresh) tokens++;
        return { agent, headers: { authorization: `Bearer ${tokens}` } };
      },
      close() {
        isClosed = true;
        agent.destroy();
      },
    },
    clock: systemClock,
  });
  return { client, requests, results };
}

function answering(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Handler {
  return (_request, answer) => {
    answer.writeHead(status, { "content-type": "application/json", ...headers });
    answer.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

const OBJECT = { metadata: { name: "a" } };

test("credentials that are refused are renewed once", async (t) => {
  const { client, requests } = await clientOf(t, answering(401, {}), answering(200, OBJECT));
  assert.equal((await client.get("/api/v1/x")).metadata.name, "a");
  assert.deepEqual(requests, ["GET /prefix/api/v1/x Bearer 1", "GET /prefix/api/v1/x Bearer 2"]);
});

test("credentials that stay refused are an error", async (t) => {
  const { client, requests } = await clientOf(t, answering(401, { message: "no" }));
  await assert.rejects(client.get("/api/v1/x"), { code: "unauthenticated", message: "GET /api/v1/x: no" });
  assert.equal(requests.length, 2);
});

test("a server that is too busy is asked again when it says, and not for ever", async (t) => {
  const busy = answering(429, { message: "busy" }, { "retry-after": "0.1" });
  const { client, requests } = await clientOf(t, busy, busy, answering(201, OBJECT), busy);
  await client.create("/api/v1/x", OBJECT);
  assert.equal(requests.length, 3);
  await assert.rejects(client.create("/api/v1/x", OBJECT), { code: "resource-exhausted" });
  assert.equal(requests.length, 3 + 6);
});

test("whoever has no more time for a server that is too busy is told that it is, also while a request is under way", async (t) => {
  const late = new AbortController();
  const busy = answering(429, { message: "busy" }, { "retry-after": "0.1" });
  const { client, requests } = await clientOf(t, busy, () => late.abort());
  const reason = { code: "resource-exhausted", message: "GET /api/v1/x: busy" };
  await assert.rejects(client.get("/api/v1/x", { signal: late.signal }), reason);
  assert.equal(requests.length, 2);
});

test("an idle connection that was closed in between costs a reader nothing", async (t) => {
  const closing: Handler = (request) => request.socket.destroy();
  const { client, requests } = await clientOf(t, answering(200, OBJECT), closing, answering(200, OBJECT));
  await client.get("/api/v1/x");
  await client.get("/api/v1/x");
  assert.equal(requests.length, 3);
});

test("what is under way as the client is closed opens no connection again", async (t) => {
  const { client, requests } = await clientOf(t, () => client.close());
  await assert.rejects(client.get("/api/v1/x"), { code: "unavailable" });
  assert.equal(requests.length, 1);
});

test("each answer is counted by its status, and where there is none, that", async (t) => {
  const closing: Handler = (request) => request.socket.destroy();
  const busy = answering(429, "Too many requests", { "retry-after": "0.1" });
  const { client, results } = await clientOf(t, busy, answering(201, OBJECT), answering(404, {}), closing);
  await client.create("/api/v1/x", OBJECT);
  await assert.rejects(client.get("/api/v1/x"), { message: "GET /api/v1/x: HTTP status 404 Not Found" });
  await assert.rejects(client.create("/api/v1/x", OBJECT), { code: "unavailable" });
  assert.deepEqual(results, ["429", "201", "404", "none"]);
});

test("a write whose answer is lost is not repeated", async (t) => {
  const closing: Handler = (request) => request.socket.destroy();
  const { client, requests } = await clientOf(t, closing, answering(201, OBJECT));
  await assert.rejects(client.create("/api/v1/x", OBJECT), { code: "unavailable" });
  assert.equal(requests.length, 1);
});

const strange: readonly [title: string, handler: Handler][] = [
  ["no JSON", answering(200, "<html>")],
  ["no object", answering(200, "[]")],
  ["no metadata", answering(200, {})],
  ["labels that are no texts", answering(200, { metadata: { labels: { a: 1 } } })],
  ["a body that breaks off", answering(200, '{"metadata":{}}', { "content-length": "100" })],
  ["a refusal without a reason", answering(503, "busy")],
];

for (const [title, handler] of strange) {
  test(`an answer with ${title} counts as none`, async (t) => {
    const closing: Handler = (request, answer) => {
      handler(request, answer);
      request.socket.end();
    };
    const { client } = await clientOf(t, closing);
    await assert.rejects(client.get("/api/v1/x"), { code: "unavailable" });
  });
}

test("a list that is none is refused", async (t) => {
  const { client } = await clientOf(t, answering(200, { metadata: { resourceVersion: "1" }, items: "all" }));
  await assert.rejects(client.list("/api/v1/x").next(), { code: "unavailable", message: /is not a list/ });
});

test("events arrive whole however their bytes are cut, and what is none ends the watch", async (t) => {
  let chunks: readonly Buffer[] = [];
  const { client } = await clientOf(t, async (_request, answer) => {
    answer.writeHead(200);
    for (const chunk of chunks) await new Promise((resolve) => answer.write(chunk, resolve));
    answer.end();
  });
  const eventName = fc.string({ unit: "grapheme", maxLength: 20 });
  const types = fc.constantFrom("ADDED", "MODIFIED", "DELETED");
  const events = fc.array(fc.record({ name: eventName, type: types }, { noNullPrototype: true }));
  const garbage = fc.option(fc.constantFrom("{", "null", "7", '{"type":"NEW"}', '{"type":"ADDED","object":7}'));
  const run = async (sent: { name: string; type: string }[], last: string | null, size: number) => {
    const lines = sent.map(({ name, type }) => `${JSON.stringify({ type, object: { metadata: { name } } })}\n`);
    const bytes = Buffer.from(`${lines.join("")}${last === null ? "" : `${last}\n`}`);
    chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
    const seen: { name: string | undefined; type: string }[] = [];
    const options = { resourceVersion: "1", lifeSeconds: 60, silenceMs: 60_000 };
    const watching = async () => {
      for await (const { type, object } of await client.watch("/api/v1/x", options)) {
        seen.push({ name: object.metadata.name, type });
      }
    };
    if (last === null) await watching();
    else await assert.rejects(watching(), (thrown) => thrown instanceof TrysailError && thrown.code === "unavailable");
    assert.deepEqual(seen, sent);
  };
  await fc.assert(fc.asyncProperty(events, garbage, fc.integer({ min: 1, max: 50 }), run), { numRuns: 50 });
});

const errors: readonly [status: number, code: TrysailError["code"]][] = [
  [410, "failed-precondition"],
  [403, "permission-denied"],
  [500, "unavailable"],
];

for (const [status, code] of errors) {
  test(`a watch that the server ends with ${status} says so`, async (t) => {
    const event = { type: "ERROR", object: { kind: "Status", code: status, message: "because" } };
    const { client } = await clientOf(t, answering(200, `${JSON.stringify(event)}\n`));
    const options = { resourceVersion: "1", lifeSeconds: 60, silenceMs: 60_000 };
    await assert.rejects((await client.watch("/api/v1/x", options)).next(), { code, message: /because/ });
  });
}

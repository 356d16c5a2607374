import assert from "node:assert/strict";
import { type ClientRequest, request } from "node:http";
import { type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fastify } from "fastify";
import { until } from "../../test/support/until.ts";
import { bodyParser } from "./body-parser.ts";

/** A server that answers a body with its length and last byte, and tells how much has arrived. */
async function start(t: TestContext, limitBytes: number) {
  const app = fastify();
  t.after(() => {
    app.server.closeAllConnections();
    return app.close();
  });
  let arrived = 0;
  app.addHook("preParsing", async (_request, _reply, payload) => {
    payload.on("data", (part: Buffer) => {
      arrived += part.length;
    });
    payload.pause();
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", bodyParser(limitBytes));
  app.post("/", async ({ body }) => (Buffer.isBuffer(body) ? `${body.length} ${body.at(-1)}` : "no body"));
  await app.listen({ host: "127.0.0.1", port: 0 });
  const address = app.server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const post = (headers: Record<string, string | number> = {}) => {
    const asking = request({
      ...{ port, host: "127.0.0.1", method: "POST", agent: false },
      headers: { "content-type": "text/plain", ...headers },
    });
    asking.on("error", () => {});
    asking.setNoDelay();
    return asking;
  };
  return { post, arrived: () => arrived };
}

function answerTo(asking: ClientRequest): Promise<string> {
  return new Promise((resolve) => {
    asking.on("response", (answer) => {
      answer.setEncoding("utf8").once("data", (text: string) => resolve(`${answer.statusCode} ${text}`));
    });
  });
}

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

function heapBytes(): number {
  assert.ok(typeof collectGarbage === "function");
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("a body is all of its parts, in their order, and one that is too large is refused as soon as that is known", async (t) => {
  const { post } = await start(t, 1000);
  const asking = post();
  const answer = answerTo(asking);
  for (let count = 0; count < 999; count++) asking.write("a");
  asking.end("b");
  assert.equal(await answer, `200 1000 ${"b".charCodeAt(0)}`);

  const tooLarge = post();
  const refused = answerTo(tooLarge);
  for (let count = 0; count < 1001; count++) tooLarge.write("a");
  assert.match(await refused, /^413 /);

  const announced = post({ "content-length": 1001 });
  const refusedAtOnce = answerTo(announced);
  announced.write("a");
  assert.match(await refusedAtOnce, /^413 /);
});

test("a body that comes byte by byte takes little more than its size while the rest is waited for", async (t) => {
  const { post, arrived } = await start(t, 1024 * 1024);
  const asking = post();
  asking.flushHeaders();
  const before = heapBytes();
  const part = "1\r\na\r\n".repeat(1000);
  const socket = await until("the connection", () => asking.socket);
  for (let count = 0; count < 200; count++) socket.write(part);
  await until("all of it", () => arrived() === 200_000);
  const grown = heapBytes() - before;
  assert.ok(grown < 3_000_000, `200 kB took ${grown} bytes`);
});

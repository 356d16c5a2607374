import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { createLog } from "../../src/platform/log.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";

/** What strangers may send to port 15017 that is no request, or none in whole. */

const HEAD = "Host: localhost\r\nContent-Type: application/json\r\n";
const PATHS = ["/inject", "/validate", "/v1/certificates", "/v1/jwt-svids"];

/** A connection that has sent this; `answer` is all that came back when it was closed. */
async function send(t: TestContext, { ports, rootPath }: TestControlPlane, text: string) {
  const ca = await readFile(rootPath);
  const socket = connect({ host: "localhost", port: ports.https, ca }, () => socket.write(text));
  t.after(() => socket.destroy());
  let answer = "";
  socket.on("error", () => {});
  socket.setEncoding("latin1").on("data", (part: string) => {
    answer += part;
  });
  const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(answer)));
  return { socket, closed, answer: () => answer };
}

async function counted(mesh: TestControlPlane, line: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  const found = text.split("\n").find((one) => one.startsWith(`${line} `));
  return Number(found?.slice(line.length) ?? 0);
}

test("a body that is broken off is counted as a bad request, and no fault that the log tells of with a stack", async (t) => {
  const lines: string[] = [];
  const mesh = await testControlPlane(t, {}, {}, createLog("debug", { write: (line) => void lines.push(line) }));
  for (const path of PATHS) {
    const gone = await send(
      t,
      mesh,
      `POST ${path} HTTP/1.1\r\n${HEAD}Content-Length: 500\r\nExpect: 100-continue\r\n\r\n`,
    );
    await until("the request to be there", () => gone.answer().includes("100 Continue"));
    gone.socket.destroy();
    const chunked = await send(
      t,
      mesh,
      `POST ${path} HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n`,
    );
    assert.match(await chunked.closed, /^HTTP\/1.1 400 /);
  }
  // Two for each of the authority's two paths.
  const badRequests = 'trysail_ca_refusals_total{reason="bad-request"}';
  await until("all to be counted", async () => (await counted(mesh, badRequests)) === 4);
  const logged = lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    logged.filter(({ level, err }) => level === "error" || err !== undefined),
    [],
  );
  const told = logged.filter(({ reason }) => reason === "bad-request").map(({ cause }) => cause);
  assert.equal(told.length, 4);
  for (const cause of told) assert.match(cause, /^the request is malformed: the body was broken off: /);
});

test("what is no HTTP, or has more headers than are read, is answered, counted and closed", async (t) => {
  const mesh = await testControlPlane(t, {});
  const malformed: [text: string, status: number][] = [
    ["\x16\x03\x01\x02\x00", 400],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    [`POST /v1/certificates HTTP/1.1\r\n${HEAD}Content-Length: -1\r\n\r\n`, 400],
    [`POST /v1/certificates HTTP/1.1\r\n${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    [`POST /v1/certificates HTTP/1.1\r\n${HEAD}Authorization: Bearer ${"a".repeat(17_000)}\r\n\r\n`, 431],
  ];
  for (const [text, status] of malformed) {
    assert.match(await (await send(t, mesh, text)).closed, new RegExp(`^HTTP/1.1 ${status} `), text.slice(0, 60));
  }
  const line = 'trysail_connections_refused_total{port="https",reason="malformed"}';
  assert.equal(await counted(mesh, line), malformed.length);
});

test("a path that cannot be read is not there, and is not repeated", async (t) => {
  const mesh = await testControlPlane(t, {});
  for (const path of ["/v1/%zz", "/v1/certificates%", "/%ff", `/inject/tag/${"a".repeat(200)}`]) {
    const { socket, closed, answer } = await send(
      t,
      mesh,
      `POST ${path} HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\n{}`,
    );
    await until("the answer", () => answer().includes("}"));
    socket.end();
    assert.match(await closed, /^HTTP\/1.1 404 [\s\S]*\r\n\r\n\{"error":"not found"\}$/, path);
  }
  for (const port of [mesh.ports.monitoring, mesh.ports.http]) {
    const answer = await fetch(`http://127.0.0.1:${port}/%zz`);
    assert.deepEqual([answer.status, await answer.text()], [404, '{"error":"not found"}']);
  }
});

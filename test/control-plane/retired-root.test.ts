import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { buildCsr, csrPem } from "../support/csr.ts";
import { until } from "../support/until.ts";

const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const keyPem = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();

interface Client {
  /** Asks for a certificate; answers the status and the body, or the code of what went wrong with the connection. */
  ask(headers?: Record<string, string>): Promise<{ readonly outcome: number | string; readonly body: string }>;
}

/** One connection that stays open. */
function connect(t: TestContext, { ports, rootPath }: TestControlPlane, certificatePem?: string): Client {
  const shown = certificatePem === undefined ? {} : { cert: certificatePem, key: keyPem };
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: readFileSync(rootPath), ...shown });
  t.after(() => agent.destroy());
  return {
    ask: (headers = {}) =>
      new Promise((resolve) => {
        const asking = request({
          ...{ host: "localhost", port: ports.https, method: "POST", path: "/v1/certificates", agent },
          headers: { "content-type": "text/plain", ...headers },
        });
        asking.on("error", (error) => resolve({ outcome: "code" in error ? String(error.code) : "error", body: "" }));
        asking.on("response", (answer) => {
          let body = "";
          answer.setEncoding("utf8").on("data", (text: string) => {
            body += text;
          });
          answer.on("end", () => resolve({ outcome: answer.statusCode ?? 0, body }));
        });
        asking.end(csrPem(buildCsr({ keys })));
      }),
  };
}

async function turn(mesh: TestControlPlane, step: string): Promise<void> {
  const token = await mesh.issuer.issue({ namespace: "trysail-system", serviceAccount: "trysail", ttlMs: 60_000 });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const body = step === "prepare" ? "{}" : '{"force":true}';
  const answer = await fetch(`http://127.0.0.1:${mesh.ports.http}/ca/${step}`, { method: "POST", headers, body });
  assert.equal(answer.status, 200, await answer.text());
}

test("who holds a connection open when its root is retired gets nothing more by it, and who has a token does", async (t) => {
  const mesh = await testControlPlane(t, {});
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 60_000 });
  const bearer = { authorization: `Bearer ${token}` };
  const byToken = connect(t, mesh);
  const { body: chain } = await byToken.ask(bearer);
  const byCertificate = connect(t, mesh, chain);
  const { outcome, body: renewed } = await byCertificate.ask();
  assert.equal(outcome, 200);

  await turn(mesh, "prepare");
  await turn(mesh, "activate");
  const current = connect(t, mesh, (await byToken.ask(bearer)).body);
  assert.equal((await current.ask()).outcome, 200);
  assert.equal((await byCertificate.ask()).outcome, 200, "a root that is old still counts");
  await turn(mesh, "retire");
  const ended = await until("an answer", () => byCertificate.ask());
  assert.ok(ended.outcome === 401 || ended.outcome === "ECONNRESET", String(ended.outcome));
  assert.equal((await connect(t, mesh, renewed).ask()).outcome, 401, "nor does a new connection help");
  assert.equal((await byToken.ask(bearer)).outcome, 200);
  assert.equal((await current.ask()).outcome, 200);
});

/** What a request by this client certificate is answered, over the session if one is given; with the ticket for a next one. */
function askOnce({ ports, rootPath }: TestControlPlane, certificatePem: string, session?: Buffer) {
  return new Promise<{ readonly status: string; readonly resumed: boolean; readonly ticket: Buffer | undefined }>(
    (resolve, reject) => {
      const socket = connectTls({
        ...{ host: "localhost", servername: "localhost", port: ports.https, ca: readFileSync(rootPath) },
        ...{ cert: certificatePem, key: keyPem, session },
      });
      let ticket: Buffer | undefined;
      socket.on("session", (made: Buffer) => {
        ticket = made;
      });
      socket.on("error", reject);
      const csr = csrPem(buildCsr({ keys }));
      const head = [
        "POST /v1/certificates HTTP/1.1",
        "host: localhost",
        "content-type: text/plain",
        "connection: close",
      ];
      socket.write(`${[...head, `content-length: ${csr.length}`].join("\r\n")}\r\n\r\n${csr}`);
      let text = "";
      socket.setEncoding("latin1").on("data", (part: string) => {
        text += part;
      });
      socket.on("end", () => resolve({ status: text.split(" ")[1] ?? "", resumed: socket.isSessionReused(), ticket }));
    },
  );
}

test("nor does who resumes a session from before get anything, once the root is retired", async (t) => {
  const mesh = await testControlPlane(t, {});
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 60_000 });
  const { body: chain } = await connect(t, mesh).ask({ authorization: `Bearer ${token}` });
  const first = await askOnce(mesh, chain);
  assert.equal(first.status, "200");
  const second = await askOnce(mesh, chain, first.ticket);
  assert.deepEqual([second.status, second.resumed], ["200", true], "sessions are resumed, and know who began them");
  for (const step of ["prepare", "activate", "retire"]) await turn(mesh, step);
  assert.equal((await askOnce(mesh, chain, second.ticket)).status, "401");
});

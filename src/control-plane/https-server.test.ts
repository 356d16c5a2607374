import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectPlain } from "node:net";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { issueBy, temporaryAuthority } from "../../test/support/authority.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { until } from "../../test/support/until.ts";
import { createServingCertificate } from "../ca/serving/serving-certificate.ts";
import { addBodyParser } from "../platform/body-parser.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import type { ConnectionLimits } from "../platform/connection-guard.ts";
import { createLog } from "../platform/log.ts";
import { createHttpsServer } from "./https-server.ts";
import { listen } from "./listen.ts";

/** The server before one route, which answers how large a body was. */
async function start(t: TestContext, limits: Partial<ConnectionLimits>, clock: Clock = systemClock) {
  const { signer, trustBundlePem } = await temporaryAuthority(t, systemClock);
  const serving = createServingCertificate({
    ...{ clock: systemClock, log: createLog("silent"), hosts: ["localhost"] },
    issue: issueBy(signer, systemClock),
  });
  await serving.start();
  t.after(() => serving.stop());
  const refused: string[] = [];
  const { app } = await createHttpsServer(
    serving.current(),
    [
      async (routes) => {
        routes.removeAllContentTypeParsers();
        addBodyParser(routes, "*", 1024 * 1024);
        routes.post("/size", async ({ body }) => `${Buffer.isBuffer(body) ? body.length : 0} bytes`);
      },
    ],
    { rootsPem: trustBundlePem, revocationListsPem: "" },
    { limits, clock, onRefused: (reason) => refused.push(reason) },
  );
  t.after(async () => {
    // One that is in the middle of a request would be waited for.
    app.server.closeAllConnections();
    await app.close();
  });
  return { app, port: await listen(app, "--https-addr", { host: "127.0.0.1", port: 0 }), refused };
}

/** A client's connection, and what it was answered. */
async function open(t: TestContext, port: number, localAddress = "127.0.0.1") {
  const socket: TLSSocket = connect({ ...{ port, host: "127.0.0.1", localAddress, rejectUnauthorized: false } });
  t.after(() => socket.destroy());
  let answers = "";
  let ended = false;
  socket.on("error", () => {});
  socket.setEncoding("latin1").on("data", (text: string) => {
    answers += text;
  });
  socket.on("close", () => {
    ended = true;
  });
  await until("the handshake", () => socket.getCipher());
  return {
    send: (...parts: readonly (string | Buffer)[]) => void parts.map((part) => socket.write(part)),
    answered: (count: number, text: string) => answers.split(text).length - 1 === count,
    ended: () => ended,
  };
}

const head = (length: number) =>
  `POST /size HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: ${length}\r\n\r\n`;

test("a connection without a request is closed in time, and one that has asked is kept for the next one", async (t) => {
  const clock = createManualClock(0);
  const { port, refused } = await start(t, { strangerMs: 300 }, clock);
  const [silent, asking] = [await open(t, port), await open(t, port)];
  asking.send(head(2), "hi");
  await until("the first answer", () => asking.answered(1, "2 bytes"));
  await until("the silent one to be closed", () => {
    clock.advance(300);
    return silent.ended();
  });
  assert.deepEqual(refused, ["silent"]);
  asking.send(head(2), "hi");
  await until("both answers", () => asking.answered(2, "2 bytes"));
});

test("half-sent bodies are bounded all together: the largest go first, and who sends a whole one is answered", async (t) => {
  const { port, refused } = await start(t, { unreadBytes: 1_500_000 });
  const half = await Promise.all([1, 2, 3].map(() => open(t, port)));
  const small = await open(t, port);
  small.send(head(100_000), Buffer.alloc(50_000));
  for (const { send } of half) send(head(1_000_000), Buffer.alloc(900_000));
  await until("enough of them to be closed", () => refused.length === 2);
  assert.deepEqual(refused, ["unread", "unread"]);
  await until("the client to see it", () => half.filter(({ ended }) => ended()).length === 2);
  small.send(Buffer.alloc(50_000));
  await until("the small one's answer", () => small.answered(1, "100000 bytes"));
});

test("who sends more than is taken hears so behind all of it, and may ask again", async (t) => {
  const { port } = await start(t, {});
  const client = await open(t, port);
  client.send(head(5_000_000), Buffer.alloc(5_000_000));
  await until("the refusal", () => client.answered(1, "HTTP/1.1 413"));
  client.send(head(2), "hi");
  await until("the next answer", () => client.answered(1, "2 bytes"));
  assert.equal(client.ended(), false);
});

test("requests sent one behind the other count until the last is answered", async (t) => {
  const { port, refused } = await start(t, { unreadBytes: 500_000 });
  const client = await open(t, port);
  client.send(head(2), "hi", head(900_000), Buffer.alloc(800_000));
  await until("its end", () => client.ended());
  assert.deepEqual(refused, ["unread"]);
});

test("a connection stays a stranger's however often it asks, and the address with the most gives way", async (t) => {
  const { port, refused } = await start(t, { strangers: 3 });
  const [first, second, third] = [await open(t, port), await open(t, port), await open(t, port)];
  for (const { send, answered } of [first, second, third]) {
    send(head(2), "hi");
    await until("its answer", () => answered(1, "2 bytes"));
  }
  const elsewhere = await open(t, port, "127.0.0.2");
  await until("the newest of the other address to be closed", () => third.ended());
  assert.deepEqual(refused, ["too-many-unknown"]);
  for (const { send, answered } of [first, second, elsewhere]) {
    send(head(2), "hi");
    await until("another answer", () => answered(1, "2 bytes") || answered(2, "2 bytes"));
  }
});

test("closing the server waits for no connection that never asked, nor for one that never began its handshake", async (t) => {
  const { port, app } = await start(t, { strangerMs: 3_600_000 });
  const handshakes: string[] = [];
  app.server.on("tlsClientError", (error: Error & { code?: string }) => handshakes.push(error.code ?? error.message));
  const silent = await open(t, port);
  const accepted = once(app.server, "connection");
  const mute = connectPlain(port, "127.0.0.1").on("error", () => {});
  t.after(() => mute.destroy());
  await accepted;
  await app.close();
  assert.ok(!handshakes.includes("ERR_TLS_HANDSHAKE_TIMEOUT"), "it was waited for as long as a handshake may take");
  await until("the connections to end", () => silent.ended() && mute.closed);
});

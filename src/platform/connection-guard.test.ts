import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectPlain } from "node:net";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { type ServerDuplexStream, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { grpcCertificate } from "../../test/support/grpc-certificate.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { until } from "../../test/support/until.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { ConnectionLimits } from "./connection-guard.ts";
import { streamOfBytes, unaryOfBytes } from "./grpc-methods.ts";
import { createGrpcServer } from "./grpc-server.ts";
import { createLog } from "./log.ts";

const SERVICE = { ask: unaryOfBytes("/test.Test/Ask"), stream: streamOfBytes("/test.Test/Stream") };

/** A gRPC server with TLS that knows its caller when a message says "known". */
async function start(t: TestContext, limits: Partial<ConnectionLimits>, clock: Clock = systemClock) {
  const { certificate, rootPem } = await grpcCertificate(t, ["localhost"]);
  const refused: string[] = [];
  const server = createGrpcServer({
    certificate,
    clientTrust: { rootsPem: rootPem, revocationListsPem: "" },
    log: createLog("silent"),
    connections: { limits, clock, onRefused: (reason) => refused.push(reason) },
  });
  t.after(() => server.stop(0));
  server.addService("tls", SERVICE, {
    ask(call: ServerUnaryCall<Buffer, Buffer>, reply: (error: object | null, bytes?: Buffer) => void) {
      if (String(call.request) !== "known") return reply({ code: status.UNAUTHENTICATED });
      server.callerKnown(call);
      return reply(null, Buffer.from("answer"));
    },
    stream(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", (bytes: Buffer) => {
        if (String(bytes) === "known") server.callerKnown(call);
        call.write(bytes);
      });
    },
  });
  return { port: await server.listen("127.0.0.1:0"), refused };
}

/** A client's connection; `localAddress` of 127.0.0.0/8 is where it says that it comes from. */
async function open(t: TestContext, port: number, localAddress = "127.0.0.1") {
  const socket: TLSSocket = connect({
    ...{ port, host: "127.0.0.1", localAddress, rejectUnauthorized: false, ALPNProtocols: ["h2"] },
  });
  const ended = { yet: false };
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  socket.on("close", () => {
    ended.yet = true;
  });
  await until(
    "the handshake, or the end",
    () => ended.yet || socket.authorizationError !== undefined || socket.getCipher() !== undefined,
  );
  return { socket, ended };
}

/** A client that may begin requests and send parts of their messages. */
function client(t: TestContext, socket: TLSSocket) {
  const session = connectHttp2("https://localhost", { createConnection: () => socket });
  session.on("error", () => {});
  t.after(() => session.destroy());
  return (path: string) => {
    const request = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
    request.on("error", () => {});
    return {
      write: (bytes: Uint8Array) => request.write(bytes),
      end: (bytes: Uint8Array) => request.end(bytes),
      answered: () => new Promise<void>((resolve) => request.once("data", () => resolve())),
    };
  };
}

function framed(message: Uint8Array, length = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

const KNOWN = framed(Buffer.from("known"));

test("one address gets its part of the connections and no more, and leaves the others theirs", async (t) => {
  const { port, refused } = await start(t, { total: 4, perAddress: 2 });
  const first = [await open(t, port), await open(t, port)];
  const third = await open(t, port);
  await until("the third to be closed", () => third.ended.yet);
  const elsewhere = [await open(t, port, "127.0.0.2"), await open(t, port, "127.0.0.2")];
  assert.deepEqual(refused, ["too-many-of-address"]);
  for (const { ended } of [...first, ...elsewhere]) assert.equal(ended.yet, false);

  first[0]?.socket.destroy();
  await until("the place of one that left", async () => !(await open(t, port)).ended.yet && refused.length < 100);
});

test("where all places are taken the address with the most gives way, and who already has the most gets no more", async (t) => {
  const { port, refused } = await start(t, { total: 3 });
  const [first, second, third] = [await open(t, port), await open(t, port), await open(t, port)];
  third.socket.resume();
  const fourth = await open(t, port);
  await until("one more of the same to be closed", () => fourth.ended.yet);
  const elsewhere = await open(t, port, "127.0.0.2");
  await until("the newest of the others to be closed", () => third.ended.yet);
  assert.deepEqual(refused, ["too-many", "too-many"]);
  for (const { ended } of [first, second, elsewhere]) assert.equal(ended.yet, false);
});

test("callers that are not known have fewer places, and leave theirs when they become known", async (t) => {
  const { port, refused } = await start(t, { strangers: 1 });
  for (let count = 0; count < 3; count++) {
    const { socket, ended } = await open(t, port);
    const asking = client(t, socket)("/test.Test/Ask");
    const answer = asking.answered();
    asking.end(KNOWN);
    await answer;
    assert.equal(ended.yet, false);
  }
  await open(t, port);
  const second = await open(t, port);
  await until("the second stranger to be closed", () => second.ended.yet);
  assert.deepEqual(refused, ["too-many-unknown"]);
});

test("a connection whose caller does not become known in time is closed, whatever it sends; one that did stays", async (t) => {
  // Time stands still until those that can become known are, however long this machine takes for it.
  const clock = createManualClock(0);
  const { port, refused } = await start(t, { strangerMs: 300 }, clock);
  const silent = await open(t, port);
  silent.socket.resume();
  const refusedOnes = await open(t, port);
  const known = await open(t, port);
  const streaming = await open(t, port);
  const stream = client(t, streaming.socket)("/test.Test/Stream");
  const answers = stream.answered();
  stream.write(KNOWN);
  await answers;
  const ask = client(t, known.socket);
  const asking = ask("/test.Test/Ask");
  const answer = asking.answered();
  asking.end(KNOWN);
  await answer;
  const pretend = client(t, refusedOnes.socket);
  await until("both strangers to be closed", () => {
    clock.advance(300);
    if (!refusedOnes.ended.yet) pretend("/test.Test/Ask").end(framed(Buffer.from("who?")));
    return silent.ended.yet && refusedOnes.ended.yet;
  });
  assert.deepEqual(refused, ["silent", "silent"]);
  assert.deepEqual([known.ended.yet, streaming.ended.yet], [false, false]);
  const again = stream.answered();
  stream.write(KNOWN);
  await again;
});

test("what is half sent is bounded all together, of known callers too: who sent the most is closed first", async (t) => {
  const { port, refused } = await start(t, { unreadBytes: 3_000_000 });
  const [small, large, known] = [await open(t, port), await open(t, port), await open(t, port)];
  client(t, small.socket)("/test.Test/Ask").write(framed(Buffer.alloc(500_000), 600_000));
  const streams = client(t, known.socket);
  const streaming = streams("/test.Test/Stream");
  const echoed = streaming.answered();
  streaming.write(KNOWN);
  await echoed;
  for (let count = 0; count < 3; count++) {
    const whole = streams("/test.Test/Stream");
    const answered = whole.answered();
    whole.write(framed(Buffer.alloc(900_000)));
    await answered;
  }
  const many = client(t, large.socket);
  for (let count = 0; count < 2; count++) many("/test.Test/Ask").write(framed(Buffer.alloc(900_000), 1_000_000));
  streaming.write(framed(Buffer.alloc(800_000), 900_000));
  await until("the largest to be closed", () => large.ended.yet);
  assert.deepEqual(refused, ["unread"]);
  const another = client(t, (await open(t, port)).socket)("/test.Test/Stream");
  const answer = another.answered();
  another.write(KNOWN);
  await answer;
  streaming.write(Buffer.alloc(100_000));
  streams("/test.Test/Stream").write(framed(Buffer.alloc(2_900_000), 3_000_000));
  await until("that of the known caller to be closed", () => known.ended.yet);
  assert.deepEqual(refused, ["unread", "unread"]);
  assert.equal(small.ended.yet, false);
});

test("a message that comes byte by byte counts for what its parts take", async (t) => {
  const { port, refused } = await start(t, { unreadBytes: 200_000 });
  const { socket, ended } = await open(t, port);
  const stream = client(t, socket)("/test.Test/Stream");
  const answered = stream.answered();
  stream.write(KNOWN);
  await answered;
  stream.write(framed(Buffer.alloc(0), 100_000));
  await until(
    "its end",
    () => {
      stream.write(Buffer.alloc(1));
      return ended.yet;
    },
    { everyMs: 0, timeoutMs: 60_000 },
  );
  assert.deepEqual(refused, ["unread"]);
});

test("a connection that never begins its handshake has its place in the count", async (t) => {
  const { port, refused } = await start(t, { perAddress: 1 });
  const mute = connectPlain(port, "127.0.0.1");
  mute.on("error", () => {});
  t.after(() => mute.destroy());
  await until("the connection", () => mute.readyState === "open");
  const second = await open(t, port);
  await until("the second to be closed", () => second.ended.yet);
  assert.deepEqual(refused, ["too-many-of-address"]);
});

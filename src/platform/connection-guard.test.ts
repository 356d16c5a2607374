import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectPlain } from "node:net";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { type ServerDuplexStream, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { grpcCertificate } from "../../test/support/grpc-certificate.ts";
import { until } from "../../test/support/until.ts";
import type { ConnectionLimits } from "./connection-guard.ts";
import { streamOfBytes, unaryOfBytes } from "./grpc-methods.ts";
import { createGrpcServer } from "./grpc-server.ts";
import { createLog } from "./log.ts";

const SERVICE = { ask: unaryOfBytes("/test.Test/Ask"), stream: streamOfBytes("/test.Test/Stream") };

/** A gRPC server with TLS that knows its caller when a message says "known". */
async function start(t: TestContext, limits: Partial<ConnectionLimits>) {
  const { certificate, rootPem } = await grpcCertificate(t, ["localhost"]);
  const refused: string[] = [];
  const server = createGrpcServer({
    certificate,
    clientTrust: { rootsPem: rootPem, revocationListsPem: "" },
    log: createLog("silent"),
    connections: { limits, onRefused: (reason) => refused.push(reason) },
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
  const beyond = await open(t, port, "127.0.0.3");
  await until("one more than there may be to be closed", () => beyond.ended.yet);
  assert.deepEqual(refused, ["too-many-of-address", "too-many"]);
  for (const { ended } of [...first, ...elsewhere]) assert.equal(ended.yet, false);

  first[0]?.socket.destroy();
  await until("the place of one that left", async () => !(await open(t, port)).ended.yet && refused.length < 100);
});

test("a connection whose caller does not become known in time is closed, whatever it sends; one that did stays", async (t) => {
  const { port, refused } = await start(t, { strangerMs: 300 });
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
    if (!refusedOnes.ended.yet) pretend("/test.Test/Ask").end(framed(Buffer.from("who?")));
    return silent.ended.yet && refusedOnes.ended.yet;
  });
  assert.deepEqual(refused, ["silent", "silent"]);
  assert.deepEqual([known.ended.yet, streaming.ended.yet], [false, false]);
  const again = stream.answered();
  stream.write(KNOWN);
  await again;
});

test("of callers who are not known, those who sent the most are closed when all together have sent too much", async (t) => {
  const { port, refused } = await start(t, { strangerBytes: 3_000_000 });
  const [small, large, known] = [await open(t, port), await open(t, port), await open(t, port)];
  client(t, small.socket)("/test.Test/Ask").write(framed(Buffer.alloc(500_000), 600_000));
  const streaming = client(t, known.socket)("/test.Test/Stream");
  const echoed = streaming.answered();
  streaming.write(KNOWN);
  await echoed;
  streaming.write(framed(Buffer.alloc(4_000_000), 4_100_000));
  const many = client(t, large.socket);
  for (let count = 0; count < 4; count++) {
    many("/test.Test/Ask").write(framed(Buffer.alloc(900_000), 1_000_000));
  }
  await until("the largest to be closed", () => large.ended.yet);
  assert.deepEqual(refused, ["unread"]);
  assert.deepEqual([small.ended.yet, known.ended.yet], [false, false]);
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

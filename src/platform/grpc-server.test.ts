import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectPlain, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import {
  Client,
  credentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { grpcCertificate } from "../../test/support/grpc-certificate.ts";
import { until } from "../../test/support/until.ts";
import { TrysailError } from "./errors.ts";
import { createGrpcServer, type GrpcServer } from "./grpc-server.ts";
import { createLog } from "./log.ts";

const asIs = (bytes: Buffer): Buffer => bytes;
const trustIn = (rootsPem: string) => ({ rootsPem, revocationListsPem: "" });
const BYTES = {
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
};
const SERVICE: ServiceDefinition = {
  echo: { path: "/test.Test/Echo", requestStream: true, responseStream: true, ...BYTES },
};

/** A server that answers each message with the listener's kind and whether the caller's certificate is trusted. */
async function start(t: TestContext, options: Partial<Parameters<typeof createGrpcServer>[0]> = {}) {
  const { certificate, rootPem } = await grpcCertificate(t, ["localhost"]);
  const server = createGrpcServer({ certificate, clientTrust: trustIn(rootPem), log: createLog("silent"), ...options });
  t.after(() => server.stop(0));
  addEcho(server);
  return { server, certificate, rootPem, port: await server.listen("127.0.0.1:0") };
}

function addEcho(server: GrpcServer): void {
  for (const kind of ["tls", "plaintext"] as const) {
    server.addService(kind, SERVICE, {
      echo(call: ServerDuplexStream<Buffer, Buffer>) {
        const subject = call.getAuthContext().sslPeerCertificate ? "certificate" : "anonymous";
        call.on("data", () => call.write(Buffer.from(`${kind} ${subject}`)));
        call.on("end", () => call.end());
      },
    });
  }
}

function open(t: TestContext, port: number, channel = credentials.createInsecure()) {
  const client = new Client(`127.0.0.1:${port}`, channel, {
    "grpc.ssl_target_name_override": "localhost",
    "grpc.use_local_subchannel_pool": 1,
  });
  t.after(() => client.close());
  const call = client.makeBidiStreamRequest<Buffer, Buffer>("/test.Test/Echo", asIs, asIs);
  const received: string[] = [];
  let code: number | null = null;
  call.on("data", (bytes) => received.push(String(bytes)));
  call.on("error", (error: ServiceError) => {
    code = error.code;
  });
  call.on("status", (end) => {
    code = end.code;
  });
  call.write(Buffer.alloc(1));
  return {
    call,
    received,
    first: () => until("an answer", () => received[0]),
    code: () => until("the end", () => code ?? undefined),
  };
}

async function presented(t: TestContext, port: number): Promise<{ socket: TLSSocket; serial: string }> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  const serial = await until("the handshake", () => socket.getPeerCertificate()?.serialNumber);
  return { socket, serial };
}

test("a call knows by which listener it came, and whether its caller's certificate is trusted", async (t) => {
  const { server, certificate, rootPem, port } = await start(t);
  const plaintextPort = await server.listenPlaintext("127.0.0.1:0");
  const root = Buffer.from(rootPem);
  const [key, chain] = [Buffer.from(certificate.keyPem), Buffer.from(certificate.certPem)];
  const stranger = await grpcCertificate(t, ["localhost"]);
  const strange = [Buffer.from(stranger.certificate.keyPem), Buffer.from(stranger.certificate.certPem)] as const;
  assert.equal(await open(t, plaintextPort).first(), "plaintext anonymous");
  assert.equal(await open(t, port, credentials.createSsl(root)).first(), "tls anonymous");
  assert.equal(await open(t, port, credentials.createSsl(root, key, chain)).first(), "tls certificate");
  assert.equal(await open(t, port, credentials.createSsl(root, ...strange)).first(), "tls anonymous");
});

test("connections are asked to move on at their age, not all at one moment, and cut off behind the grace", async (t) => {
  const { port } = await start(t, { maxConnectionAge: { ageMs: 1000, graceMs: 200 } });
  const began = performance.now();
  const ends = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
      t.after(() => session.destroy());
      session.on("error", () => {});
      // A stream that never ends.
      session.request({ ":path": "/test.Test/Echo", ":method": "POST", "content-type": "application/grpc" });
      const [code] = await once(session, "goaway");
      const askedMs = performance.now() - began;
      await once(session, "close");
      return { code, askedMs, graceMs: performance.now() - began - askedMs };
    }),
  );
  const asked = ends.map(({ askedMs }) => askedMs).toSorted((a, b) => a - b);
  const [first = 0, last = 0] = [asked[0], asked.at(-1)];
  assert.ok(first >= 890, `the first after ${first} ms`);
  assert.ok(last - first > 50, `all within ${last - first} ms`);
  assert.deepEqual([...new Set(ends.map(({ code }) => code))], [0]);
  assert.ok(ends.every(({ graceMs }) => graceMs > 100));
});

test("a replaced certificate is for new connections; those that exist go on", async (t) => {
  const { server, rootPem, port } = await start(t);
  const old = open(t, port, credentials.createSsl(Buffer.from(rootPem)));
  await old.first();
  const before = await presented(t, port);
  const replacement = await grpcCertificate(t, ["localhost"]);
  server.setCertificate(replacement.certificate);
  const after = await presented(t, port);
  assert.notEqual(after.serial, before.serial);
  assert.equal(before.socket.destroyed, false);
  await open(t, port, credentials.createSsl(Buffer.from(replacement.rootPem))).first();
  old.call.write(Buffer.alloc(1));
  await until("the old connection's answer", () => old.received.length === 2);
});

test("a client is judged by the roots of the moment at which it connects", async (t) => {
  const { server, certificate, rootPem, port } = await start(t);
  const later = await grpcCertificate(t, ["localhost"]);
  const root = Buffer.from(rootPem);
  const callWith = ({ keyPem, certPem }: typeof certificate) =>
    open(t, port, credentials.createSsl(root, Buffer.from(keyPem), Buffer.from(certPem))).first();
  assert.equal(await callWith(later.certificate), "tls anonymous");
  server.setClientTrust(trustIn(rootPem + later.rootPem));
  assert.equal(await callWith(later.certificate), "tls certificate");
  assert.equal(await callWith(certificate), "tls certificate");
  server.setClientTrust(trustIn(later.rootPem));
  assert.equal(await callWith(certificate), "tls anonymous");
});

test("a connection ends with the trust in its certificate's root, and no other does", async (t) => {
  const { server, certificate, rootPem, port } = await start(t);
  const later = await grpcCertificate(t, ["localhost"]);
  const root = Buffer.from(rootPem);
  const openWith = ({ keyPem, certPem }: typeof certificate) =>
    open(t, port, credentials.createSsl(root, Buffer.from(keyPem), Buffer.from(certPem)));
  server.setClientTrust(trustIn(rootPem + later.rootPem));
  const [old, current, anonymous] = [
    openWith(certificate),
    openWith(later.certificate),
    open(t, port, credentials.createSsl(root)),
  ];
  assert.deepEqual(await Promise.all([old, current, anonymous].map((stream) => stream.first())), [
    "tls certificate",
    "tls certificate",
    "tls anonymous",
  ]);
  server.setClientTrust(trustIn(later.rootPem));
  assert.equal(await old.code(), status.UNAVAILABLE);
  for (const stream of [current, anonymous]) {
    stream.call.write(Buffer.alloc(1));
    await until("another answer", () => stream.received.length === 2);
  }
});

test("a certificate that does not fit its key changes nothing", async (t) => {
  const { server, rootPem, certificate, port } = await start(t);
  const other = await grpcCertificate(t, ["localhost"]);
  assert.throws(() => server.setCertificate({ ...certificate, keyPem: other.certificate.keyPem }));
  server.setClientTrust(trustIn(rootPem));
  await open(t, port, credentials.createSsl(Buffer.from(rootPem))).first();
});

test("a port in use is named", async (t) => {
  const { server } = await start(t);
  const squatter = createServer();
  t.after(() => squatter.close());
  await new Promise<void>((resolve) => squatter.listen(0, "127.0.0.1", resolve));
  const address = squatter.address();
  assert.ok(typeof address === "object" && address);
  await assert.rejects(server.listenPlaintext(`127.0.0.1:${address.port}`), (error) => {
    assert.ok(error instanceof TrysailError);
    assert.equal(error.message, `cannot listen on 127.0.0.1:${address.port}: the port is in use`);
    return true;
  });
});

test("a message beyond the limit is refused before it is read", async (t) => {
  const { rootPem, port } = await start(t, { maxReceiveBytes: 1000 });
  const stream = open(t, port, credentials.createSsl(Buffer.from(rootPem)));
  await stream.first();
  stream.call.write(Buffer.alloc(1001));
  assert.equal(await stream.code(), status.RESOURCE_EXHAUSTED);
});

test("stopping lets a running call finish, and cuts off one that does not", async (t) => {
  const { server, rootPem, port } = await start(t);
  const [finishing, lasting] = [1, 2].map(() => open(t, port, credentials.createSsl(Buffer.from(rootPem))));
  assert.ok(finishing && lasting);
  await Promise.all([finishing.first(), lasting.first()]);
  const stopped = server.stop(2_000);
  finishing.call.end();
  assert.equal(await finishing.code(), status.OK);
  await stopped;
  assert.notEqual(await lasting.code(), status.OK);
});

test("stopping does not wait for a client that never finishes its handshake", async (t) => {
  const { server, port } = await start(t);
  const socket = connectPlain(port, "127.0.0.1");
  t.after(() => socket.destroy());
  let closed = false;
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  await until("the connection", () => socket.readyState === "open");
  socket.write(Buffer.from([0x16, 0x03]));
  await open(t, port).code();
  await server.stop(50);
  await until("the connection to be closed", () => closed);
});

test("a single request that does not arrive in whole ends its connection; one that does is answered in its own time", async (t) => {
  const { certificate, rootPem } = await grpcCertificate(t, ["localhost"]);
  const server = createGrpcServer({
    certificate,
    clientTrust: trustIn(rootPem),
    log: createLog("silent"),
    requestTimeoutMs: 2_000,
  });
  t.after(() => server.stop(0));
  let answer = () => {};
  for (const kind of ["tls", "plaintext"] as const) {
    server.addService(
      kind,
      { ask: { path: "/test.Test/Ask", requestStream: false, responseStream: false, ...BYTES } },
      {
        ask(_call: unknown, reply: (error: null, bytes: Buffer) => void) {
          answer = () => reply(null, Buffer.from("late"));
        },
      },
    );
  }
  addEcho(server);
  const port = await server.listen("127.0.0.1:0");
  const half = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  half.on("error", () => {});
  t.after(() => half.destroy());
  const request = half.request({ ":method": "POST", ":path": "/test.Test/Ask", "content-type": "application/grpc" });
  request.on("error", () => {});
  const length = Buffer.alloc(5);
  length.writeUInt32BE(100, 1);
  request.write(length);

  const secure = credentials.createSsl(Buffer.from(rootPem));
  const streaming = open(t, port, secure);
  await streaming.first();
  const client = new Client(`127.0.0.1:${port}`, secure, { "grpc.ssl_target_name_override": "localhost" });
  t.after(() => client.close());
  const whole = new Promise((resolve, reject) => {
    client.makeUnaryRequest("/test.Test/Ask", asIs, asIs, Buffer.from("now"), (error, bytes) => {
      if (error) reject(error);
      else resolve(String(bytes));
    });
  });
  await until("the half-sent one's connection to end", () => half.destroyed);
  answer();
  assert.equal(await whole, "late");
  streaming.call.write(Buffer.alloc(1));
  await until("the stream to go on", () => streaming.received.length === 2);
});

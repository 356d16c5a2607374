import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Probe } from "./pod.ts";
import { checkProbe } from "./probe-check.ts";

const target = {
  ip: "127.0.0.1",
  container: { name: "web", image: "web", ports: [{ name: "closed", containerPort: 1 }] },
  exec: async (argv: readonly string[]) => ({ code: argv[0] === "true" ? 0 : 1, output: argv.join(" ") }),
};
const check = (probe: Probe, timeoutMs = 10_000) => checkProbe(probe, target, timeoutMs);

async function httpServer(t: TestContext): Promise<number> {
  const server = createHttpServer(({ url, headers }, response) => {
    if (url === "/silent") return;
    response.statusCode =
      url === "/moved" ? 302 : url === "/host" && headers.host === "web.test" ? 200 : url === "/well" ? 200 : 503;
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return portOf(server.address());
}

function portOf(address: string | AddressInfo | null): number {
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

test("HTTP: 200 and 302 are well, 503 is not, headers are sent, silence ends with the timeout", async (t) => {
  const port = await httpServer(t);
  assert.equal((await check({ httpGet: { port, path: "/well" } })).ok, true);
  assert.equal((await check({ httpGet: { port, path: "/moved" } })).ok, true);
  assert.deepEqual(await check({ httpGet: { port, path: "/ill" } }), { ok: false, message: "HTTP 503" });
  assert.equal(
    (await check({ httpGet: { port, path: "host", httpHeaders: [{ name: "Host", value: "web.test" }] } })).ok,
    true,
  );
  const silent = await check({ httpGet: { port, path: "/silent" } }, 100);
  assert.equal(silent.ok, false);
});

test("TCP: an open port is well, a closed one is not, also by name", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  assert.equal((await check({ tcpSocket: { port: portOf(server.address()) } })).ok, true);
  assert.match((await check({ tcpSocket: { port: "closed" } })).message, /ECONNREFUSED/);
  assert.match((await check({ tcpSocket: { port: "none" } })).message, /no port named none/);
});

test("gRPC: the health service of a real server decides, by service", async (t) => {
  const server = new Server();
  const method = {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  };
  server.addService(
    { Check: method },
    {
      Check: ({ request }: { request: Buffer }, callback: (error: { code: number } | null, reply?: Buffer) => void) => {
        const service = request.subarray(2).toString("utf8");
        if (service === "unknown") callback({ code: 5 });
        else callback(null, Buffer.from([0x08, service === "ill" ? 2 : 1]));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  t.after(() => server.forceShutdown());
  assert.equal((await check({ grpc: { port } })).ok, true);
  assert.equal((await check({ grpc: { port, service: "shop.Cart" } })).ok, true);
  assert.deepEqual(await check({ grpc: { port, service: "ill" } }), { ok: false, message: "gRPC health status 2" });
  assert.deepEqual(await check({ grpc: { port, service: "unknown" } }), { ok: false, message: "gRPC status 5" });
});

test("exec: the exit code decides, the output is the reason", async () => {
  assert.equal((await check({ exec: { command: ["true"] } })).ok, true);
  assert.deepEqual(await check({ exec: { command: ["test", "-e", "/x"] } }), { ok: false, message: "test -e /x" });
});

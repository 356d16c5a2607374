import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { bootstrapInput } from "../../test/support/bootstrap-input.ts";
import { envoyMissing, type RunningEnvoy, startEnvoy } from "../../test/support/envoy.ts";
import { freePort } from "../../test/support/free-port.ts";
import { until } from "../../test/support/until.ts";
import type { AppProbers } from "../injection/pod-contract.ts";
import { buildBootstrap } from "./bootstrap.ts";

const skip = envoyMissing();

test("a TCP probe says whether the app listens, also when that changes", { skip }, async (t) => {
  const app = createServer((socket) => socket.destroy());
  // It comes back to its port, which no connection may have taken meanwhile.
  const port = await listen(t, app, await freePort());
  const path = "/app-health/app/readyz";
  const { status } = await startStatusPort(t, { [path]: { tcpSocket: { port }, periodSeconds: 1 } });
  await until("the app to be seen", async () => (await status(path)) === 200);
  assert.equal(await status("/app-health/app/livez"), 404, "nobody asked for that");
  assert.equal(await status(path, "POST"), 404, "nothing but GET");

  app.close();
  await once(app, "close");
  await until("the dead app to be seen", async () => (await status(path)) === 503);

  app.listen(port, "127.0.0.1");
  await once(app, "listening");
  await until("the app to be seen again", async () => (await status(path)) === 200);
});

test("probes that ask the same share their answer, and the quickest sets the pace: a quarter of its period", {
  skip,
}, async (t) => {
  const app = createServer((socket) => socket.destroy());
  const port = await listen(t, app);
  const { envoy, status } = await startStatusPort(t, {
    "/app-health/app/readyz": { tcpSocket: { port }, periodSeconds: 2 },
    "/app-health/app/livez": { tcpSocket: { port }, periodSeconds: 60 },
    "/app-health/app/startupz": { tcpSocket: { port }, timeoutSeconds: 9 },
  });
  for (const path of ["readyz", "livez", "startupz"]) {
    await until(path, async () => (await status(`/app-health/app/${path}`)) === 200);
  }
  const clusters: { configs: { static_clusters?: { cluster: CheckedCluster }[] }[] } = JSON.parse(
    await envoy.admin("/config_dump?resource=static_clusters").then((dump) => `{"configs":[${asConfig(dump)}]}`),
  );
  const checked = (clusters.configs[0]?.static_clusters ?? [])
    .map(({ cluster }) => cluster)
    .filter(({ health_checks: checks }) => checks !== undefined);
  assert.deepEqual(
    checked.map(({ name, health_checks: [check] = [] }) => [name, check?.interval, check?.timeout]),
    [
      [`app-health-${port}-tcp-1s`, "0.500s", "1s"],
      [`app-health-${port}-tcp-9s`, "1s", "9s"],
    ],
  );
});

test("a gRPC probe says what the app's health service says of the service it names", { skip }, async (t) => {
  const health = await startHealthService(t);
  health.statuses.set("shop.Cart", SERVING);
  const { status } = await startStatusPort(t, {
    "/app-health/app/readyz": { grpc: { port: health.port, service: "shop.Cart" }, periodSeconds: 1 },
    "/app-health/app/livez": { grpc: { port: health.port }, periodSeconds: 1 },
  });
  const ready = () => status("/app-health/app/readyz");
  const alive = () => status("/app-health/app/livez");
  await until("the service to be seen", async () => (await ready()) === 200);
  assert.equal(await alive(), 503, "the server as a whole says that it knows nothing of itself");
  await until("both to be asked", () => health.asked.size === 2);
  assert.deepEqual(health.asked, new Set(["", "shop.Cart"]));
  assert.deepEqual([...health.authorities], [`127.0.0.1:${health.port}`]);

  health.statuses.set("", SERVING);
  health.statuses.set("shop.Cart", NOT_SERVING);
  await until("the change", async () => (await ready()) === 503 && (await alive()) === 200);

  health.hang = true;
  await until("no answer to be a failure", async () => (await alive()) === 503);
  health.hang = false;
  await until("an answer", async () => (await alive()) === 200);
});

test("a proxy at the end of its memory still answers probes", { skip }, async (t) => {
  const app = createServer((socket) => socket.destroy());
  const port = await listen(t, app);
  const path = "/app-health/app/livez";
  // Less than any Envoy has.
  const { envoy, status } = await startStatusPort(t, { [path]: { tcpSocket: { port }, periodSeconds: 1 } }, 1_000_000);
  const isOver = "overload.envoy.overload_actions.stop_accepting_requests.active";
  await until("the overload", async () => (await envoy.stat(isOver)) === 1);
  await until("the app to be seen", async () => (await status(path)) === 200);
});

interface CheckedCluster {
  readonly name: string;
  readonly health_checks?: readonly { readonly interval: string; readonly timeout: string }[];
}

/** Envoy's dump of one kind of resource is a list of them; the test reads it as the one config they are in. */
function asConfig(dump: string): string {
  const { configs }: { configs: unknown[] } = JSON.parse(dump);
  return JSON.stringify({ static_clusters: configs });
}

/** The bootstrap's status listener in a real Envoy that needs no control plane. */
async function startStatusPort(t: TestContext, probers: AppProbers, memoryLimitBytes?: number) {
  const input = bootstrapInput({ probers });
  const bootstrap = buildBootstrap(memoryLimitBytes === undefined ? input : { ...input, memoryLimitBytes });
  const { admin: _, dynamicResources: __, ...rest } = Object(bootstrap);
  const envoy: RunningEnvoy = await startEnvoy(t, rest);
  const port = await envoy.listenerPort("status");
  const status = async (path: string, method = "GET") => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    await response.arrayBuffer();
    return response.status;
  };
  return { envoy, status };
}

const SERVING = 1;
const NOT_SERVING = 2;

/** https://github.com/grpc/grpc/blob/master/doc/health-checking.md, in the few bytes that it takes. */
async function startHealthService(t: TestContext) {
  const state = {
    port: 0,
    statuses: new Map<string, number>(),
    asked: new Set<string>(),
    authorities: new Set<string>(),
    hang: false,
  };
  const server = new grpc.Server();
  const check: grpc.MethodDefinition<Buffer, Buffer> = {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes) => bytes,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: (bytes) => bytes,
    responseDeserialize: (bytes) => bytes,
  };
  const handler: grpc.handleUnaryCall<Buffer, Buffer> = (call, answer) => {
    const service = call.request.subarray(2).toString();
    state.asked.add(service);
    state.authorities.add(call.getHost());
    if (state.hang) return;
    const found = state.statuses.get(service);
    if (found === undefined) answer({ code: grpc.status.NOT_FOUND });
    else answer(null, Buffer.from([0x08, found]));
  };
  server.addService({ check }, { check: handler });
  state.port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
  t.after(() => server.forceShutdown());
  return state;
}

async function listen(t: TestContext, server: Server, wanted = 0): Promise<number> {
  server.listen(wanted, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, request } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { issueBy, temporaryAuthority } from "../../test/support/authority.ts";
import { envoyMissing, startEnvoy, validateConfig } from "../../test/support/envoy.ts";
import { freePort } from "../../test/support/free-port.ts";
import { until } from "../../test/support/until.ts";
import { createServingCertificate } from "../ca/serving/serving-certificate.ts";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { AppProbers } from "../injection/pod-contract.ts";
import { systemClock } from "../platform/clock.ts";
import { createLog } from "../platform/log.ts";
import { type BootstrapInput, buildBootstrap } from "./bootstrap.ts";

const skip = envoyMissing();
const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener";

const probers: AppProbers = {
  "/app-health/app/readyz": { httpGet: { port: 8080, path: "/ready?deep=1" }, timeoutSeconds: 3 },
  "/app-health/app/livez": { httpGet: { port: 8080, path: "live" } },
  "/app-health/app/startupz": { httpGet: { port: 8080, scheme: "HTTPS" } },
};

test("the node says who the proxy is, in Istio's words", () => {
  const { node } = buildBootstrap(input({ folder: "/nowhere" }));
  assert.equal(node?.id, "sidecar~127.0.0.1~web-0.shop~shop.svc.cluster.local");
  assert.equal(node?.cluster, "storefront.shop");
  assert.deepEqual(node?.metadata, {
    CLUSTER_ID: "Kubernetes",
    NAME: "web-0",
    NAMESPACE: "shop",
    SERVICE_ACCOUNT: "web",
    LABELS: { app: "web", "service.istio.io/canonical-name": "storefront", "istio-locality": "eu.north.rack-1" },
    ANNOTATIONS: { note: "kept" },
  });
  const { region, zone, subZone } = node?.locality ?? {};
  assert.deepEqual([region, zone, subZone], ["eu", "north", "rack-1"]);
});

test("the same input gives the same bytes, whatever the order of the probes", () => {
  const backwards = Object.fromEntries(Object.entries(probers).reverse());
  const print = (probers: AppProbers) => JSON.stringify(buildBootstrap(input({ folder: "/x", probers })));
  assert.equal(print(backwards), print(probers));
});

for (const ipAddress of ["10.1.2.3", "fd00::3"]) {
  test(`Envoy accepts the bootstrap of a pod at ${ipAddress}`, { skip }, async (t) => {
    const json = buildBootstrap(input({ folder: credentials(t, "no certificate"), ipAddress, probers }));
    assert.equal(await validateConfig(json), null);
  });
}

test("a pod is ready once clusters and listeners have come, and not before", { skip }, async (t) => {
  const controlPlane = await startControlPlane(t);
  const folder = credentials(t, controlPlane.rootPem);
  const ports = { admin: await freePort(), status: await freePort(), metrics: await freePort(), mergedMetrics: 0 };
  const bootstrap = buildBootstrap(input({ folder, ports, address: controlPlane.address }));
  const envoy = await startEnvoy(t, bootstrap, { wait: "started" });
  const probe = () => status(`http://127.0.0.1:${ports.status}/healthz/ready`).catch(() => "refused");
  const assertNotReady = async () => {
    assert.notEqual(await probe(), 200);
    await assert.rejects(envoy.admin("/ready"), /503/);
  };

  const stream = await until("Envoy to join", () => controlPlane.streams[0]);
  assert.equal(stream.authorization, "Bearer the-token");
  await until("Envoy to ask for clusters", () => stream.requests.find(({ typeUrl }) => typeUrl === CLUSTER));
  await assertNotReady();

  stream.answer(CLUSTER);
  await until("Envoy to ask for listeners", () => stream.requests.find(({ typeUrl }) => typeUrl === LISTENER));
  await assertNotReady();

  stream.answer(LISTENER);
  await until("Envoy to be ready", async () => (await probe()) === 200);

  const metrics = `http://127.0.0.1:${ports.metrics}`;
  assert.match(await (await fetch(`${metrics}/stats/prometheus`)).text(), /^envoy_server_live\{\} 1$/m);
  assert.equal(await status(`${metrics}/stats`), 404);
  assert.equal(await status(`http://127.0.0.1:${ports.status}/quitquitquit`, { method: "POST" }), 404);
  assert.equal(await status(`http://127.0.0.1:${ports.status}/healthz/ready`, { method: "POST" }), 404);
});

test("a control plane whose certificate is of another mesh is not believed", { skip }, async (t) => {
  const controlPlane = await startControlPlane(t);
  const folder = credentials(t, (await temporaryAuthority(t, systemClock)).trustBundlePem);
  const ports = { admin: await freePort(), status: await freePort(), metrics: await freePort(), mergedMetrics: 0 };
  const bootstrap = buildBootstrap(input({ folder, ports, address: controlPlane.address }));
  const envoy = await startEnvoy(t, bootstrap, { wait: "started" });
  await until("Envoy to try", async () => (await envoy.stat("cluster_manager.cds.update_attempt")) > 0);
  await until("Envoy to fail", () => /DeltaAggregatedResources gRPC config stream.*closed/.test(envoy.log()), {
    timeoutMs: 20_000,
  });
  assert.equal(controlPlane.streams.length, 0);
});

test("the app's probes reach the app as the kubelet would, and report what it says", { skip }, async (t) => {
  const seen: IncomingMessage[] = [];
  let answer = 200;
  const app: RequestListener = (request, response) => {
    seen.push(request);
    response.writeHead(answer, { location: "/elsewhere", "x-app": "yes" }).end("from the app");
  };
  const http = await listen(t, createServer(app));
  const tls = await servingCertificate(t);
  const https = await listen(t, createTlsServer({ key: tls.key, cert: tls.cert }, app));
  const gone = await freePort();

  const controlPlane = await startControlPlane(t);
  const ports = { admin: await freePort(), status: await freePort(), metrics: await freePort(), mergedMetrics: 0 };
  const own: AppProbers = {
    "/app-health/app/readyz": { httpGet: { port: http, path: "/ready?deep=1" } },
    "/app-health/app/livez": { httpGet: { port: https, path: "live", scheme: "HTTPS" } },
    "/app-health/app/startupz": { httpGet: { port: gone } },
    "/app-health/named/readyz": { httpGet: { port: http, httpHeaders: [{ name: "Host", value: "shop.example" }] } },
  };
  const folder = credentials(t, controlPlane.rootPem);
  const bootstrap = buildBootstrap(input({ folder, ports, probers: own, address: controlPlane.address }));
  await startEnvoy(t, bootstrap, { wait: "started" });
  const stream = await until("Envoy to join", () => controlPlane.streams[0]);
  stream.answer(CLUSTER);
  await until("Envoy to ask for listeners", () => stream.requests.find(({ typeUrl }) => typeUrl === LISTENER));
  stream.answer(LISTENER);
  const base = `http://127.0.0.1:${ports.status}`;
  await until("Envoy to be ready", async () => (await status(`${base}/healthz/ready`)) === 200);

  const ready = await ask(`${base}/app-health/app/readyz`, { "user-agent": "kube-probe/1.34", "x-cost": "5" });
  assert.equal(ready.statusCode, 200);
  assert.equal(ready.headers["x-app"], "yes");
  assert.equal(seen[0]?.url, "/ready?deep=1");
  assert.equal(seen[0]?.method, "GET");
  assert.deepEqual(
    { ...seen[0]?.headers, "x-forwarded-proto": undefined },
    { host: `127.0.0.1:${http}`, "user-agent": "kube-probe/1.34", "x-cost": "5", "x-forwarded-proto": undefined },
  );

  assert.equal((await ask(`${base}/app-health/app/livez`)).statusCode, 200);
  assert.equal(seen[1]?.url, "/live");

  await ask(`${base}/app-health/named/readyz`, { host: "shop.example" });
  assert.equal(seen[2]?.headers.host, "shop.example");
  assert.equal(seen[2]?.url, "/");

  answer = 500;
  assert.equal((await ask(`${base}/app-health/app/readyz`)).statusCode, 500);
  answer = 302;
  const redirect = await ask(`${base}/app-health/app/readyz`);
  assert.equal(redirect.statusCode, 302);
  assert.equal(redirect.headers.location, undefined);
  assert.equal((await ask(`${base}/app-health/app/startupz`)).statusCode, 503, "nothing listens there");
  assert.equal((await ask(`${base}/app-health/other/readyz`)).statusCode, 404);

  const before = seen.length;
  assert.equal(await status(`${base}/app-health/app/readyz`, { method: "POST" }), 404);
  assert.equal(seen.length, before, "nothing but GET gets past the status port");
});

interface InputOptions {
  readonly folder: string;
  readonly ipAddress?: string;
  readonly probers?: AppProbers;
  readonly ports?: BootstrapInput["ports"];
  readonly address?: string;
}

function input({ folder, ipAddress = "127.0.0.1", probers = {}, ports, address }: InputOptions): BootstrapInput {
  return {
    node: {
      name: "web-0",
      namespace: "shop",
      ipAddress,
      serviceAccount: "web",
      labels: { app: "web", "service.istio.io/canonical-name": "storefront", "istio-locality": "eu.north.rack-1" },
      annotations: { note: "kept", "sidecar.istio.io/status": "{}" },
      metadata: { CLUSTER_ID: "Kubernetes", NAME: "not this" },
      domainSuffix: "cluster.local",
    },
    discovery: {
      address: address ?? "trysail.trysail-system.svc:15012",
      tokenFile: join(folder, "token"),
      rootCertFile: join(folder, "root-cert.pem"),
    },
    probers,
    ports: ports ?? { admin: 15000, status: 15021, metrics: 15090, mergedMetrics: 0 },
  };
}

/** A folder with what Envoy proves itself with, and knows the control plane by. */
function credentials(t: TestContext, rootPem: string): string {
  const folder = mkdtempSync(join(tmpdir(), "trysail-bootstrap-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "token"), "the-token");
  writeFileSync(join(folder, "root-cert.pem"), rootPem);
  return folder;
}

interface Stream {
  readonly authorization: string;
  readonly requests: readonly DeltaDiscoveryRequest[];
  /** Nothing of that type exists. */
  answer(typeUrl: string): void;
}

/** Just enough of a control plane to decide when Envoy gets what. */
async function startControlPlane(t: TestContext) {
  const { key, cert, rootPem } = await servingCertificate(t);
  const streams: Stream[] = [];
  const server = new grpc.Server();
  const method: grpc.MethodDefinition<DeltaDiscoveryRequest, DeltaDiscoveryResponse> = {
    path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    requestStream: true,
    responseStream: true,
    requestSerialize: (message) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)),
    requestDeserialize: (bytes) => fromBinary(DeltaDiscoveryRequestSchema, bytes),
    responseSerialize: (message) => Buffer.from(toBinary(DeltaDiscoveryResponseSchema, message)),
    responseDeserialize: (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
  };
  const handler: grpc.handleBidiStreamingCall<DeltaDiscoveryRequest, DeltaDiscoveryResponse> = (call) => {
    const requests: DeltaDiscoveryRequest[] = [];
    call.on("data", (message: DeltaDiscoveryRequest) => requests.push(message)).on("error", () => {});
    streams.push({
      authorization: String(call.metadata.get("authorization")[0]),
      requests,
      answer: (typeUrl) => call.write(create(DeltaDiscoveryResponseSchema, { typeUrl, nonce: typeUrl })),
    });
  };
  server.addService({ stream: method }, { stream: handler });
  const secure = grpc.ServerCredentials.createSsl(null, [
    { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) },
  ]);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", secure, (error, port) => (error ? reject(error) : resolve(port)));
  });
  t.after(() => server.forceShutdown());
  return { address: `localhost:${port}`, rootPem, streams };
}

async function servingCertificate(t: TestContext): Promise<{ key: string; cert: string; rootPem: string }> {
  const authority = await temporaryAuthority(t, systemClock);
  const { signer } = authority;
  const certificate = createServingCertificate({
    issue: issueBy(signer, systemClock),
    clock: systemClock,
    log: createLog("silent"),
    hosts: ["localhost", "127.0.0.1"],
  });
  await certificate.start();
  t.after(() => certificate.stop());
  const { keyPem, chainPem } = certificate.current();
  return { key: Buffer.from(keyPem.reveal()).toString(), cert: chainPem, rootPem: authority.trustBundlePem };
}

async function listen(t: TestContext, server: Server & { closeAllConnections(): void }): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return portOf(server);
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return address.port;
}

async function status(url: string, init: RequestInit = {}): Promise<number> {
  const response = await fetch(url, init);
  await response.arrayBuffer();
  return response.status;
}

/** With these headers and no others, which fetch would not do. */
function ask(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const call = request(url, { headers, agent: false, setDefaultHeaders: true }, (response) => {
      response.resume();
      resolve(response);
    });
    call.once("error", reject).end();
  });
}

/** `make bench-cluster`: measures the control plane in front of a real API server and real Envoys. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { loadTokenIssuer } from "../src/ca/jwt/token-issuer.ts";
import { systemClock } from "../src/platform/clock.ts";
import { openStateDir } from "../src/platform/state-dir.ts";
import { everyIstioKind, installIstioKinds } from "../test/cluster/istio-crds.ts";
import { findKubernetes } from "../test/cluster/programs.ts";
import { startKubernetes, type TestKubernetes } from "../test/cluster/start-kubernetes.ts";
import type { RunningEnvoy } from "../test/support/envoy.ts";
import { startJoinedEnvoy } from "../test/support/joined-envoy.ts";
import { until } from "../test/support/until.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { buildEndpointSlice, buildService, endpointAddresses, namespaceOf } from "./mesh.ts";
import { buildTable, type Measurement, TARGETS } from "./targets.ts";

const SERVICES = 1000;
const PROXIES = 50;
const ROUNDS = 30;
const AT_ONCE = 20;
const PATIENT = { timeoutMs: 60_000 };

const found = findKubernetes();
if ("missing" in found) throw new Error(found.missing);
const ends: (() => unknown)[] = [];
const cleanup = { after: (end: () => unknown) => ends.unshift(end) };
const scratch = await mkdtemp(join(tmpdir(), "trysail-bench-"));

async function measure(kubernetes: TestKubernetes): Promise<Measurement[]> {
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const name of ["trysail-system", "shop"]) await post(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  await post(kubernetes, "/api/v1/namespaces/shop/services", {
    metadata: { name: "web" },
    spec: { ports: [{ name: "http", port: 80 }] },
  });
  const start = async (name: string): Promise<ControlPlane> => {
    const own = join(scratch, name);
    await mkdir(own);
    const controlPlane = await startControlPlane({ kubeconfig: kubernetes.kubeconfig }, own);
    cleanup.after(controlPlane.stop);
    return controlPlane;
  };

  say("a control plane of an empty cluster");
  const empty = await start("empty");
  const [restMb, changeMs] = await measureProxies(kubernetes, empty);
  await empty.stop();
  say(`writing ${SERVICES} services`);
  await writeServices(kubernetes);
  const full = await start("full");
  await full.stop();
  return [
    { name: "ready in front of an empty cluster", value: empty.readyMs, target: TARGETS.ready },
    { name: `ready with ${SERVICES} services in sync`, value: full.readyMs, target: TARGETS.clusterSync },
    { name: `memory at rest, ${PROXIES} Envoys`, value: restMb, target: TARGETS.restMemory },
    { name: `VirtualService to ${PROXIES} Envoys (p99 of ${ROUNDS})`, value: changeMs, target: TARGETS.applied },
  ];
}

/** Memory at rest, and how long a VirtualService takes from its writing until the last of the Envoys uses it. */
async function measureProxies(kubernetes: TestKubernetes, controlPlane: ControlPlane): Promise<[number, number]> {
  const issuer = await loadTokenIssuer({ state: await openStateDir(controlPlane.stateDir), clock: systemClock });
  const secret = "/api/v1/namespaces/trysail-system/secrets/trysail-ca-secret";
  const { body } = await kubernetes.call("GET", secret);
  const rootPem = Buffer.from(body.data["root-cert.pem"], "base64").toString();
  const mesh = { issuer, ports: { grpc: controlPlane.grpcPort } };
  const envoys: RunningEnvoy[] = [];
  say(`${PROXIES} Envoys`);
  while (envoys.length < PROXIES) {
    const pod = `web-${envoys.length}`;
    envoys.push(await startJoinedEnvoy(cleanup, mesh, { pod, listener: requests, rootPem }));
  }
  const restMb = controlPlane.memoryMb();

  say(`${ROUNDS} changes`);
  const path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices";
  await post(kubernetes, path, virtualService(0));
  await Promise.all(envoys.map((envoy) => routed(envoy, "round-0")));
  const took: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const began = Date.now();
    const { status, body } = await kubernetes.call(
      "PATCH",
      `${path}/web`,
      virtualService(round),
      "application/merge-patch+json",
    );
    if (status !== 200) throw new Error(JSON.stringify(body));
    await Promise.all(envoys.map((envoy) => routed(envoy, `round-${round}`)));
    // Envoy itself says when it took its routes into use, so that asking it takes no time of this.
    const reloads = await Promise.all(envoys.map((envoy) => envoy.stat(`${ROUTES}config_reload_time_ms`)));
    took.push(Math.max(...reloads) - began);
  }
  took.sort((a, b) => a - b);
  return [restMb, took[Math.ceil(took.length * 0.99) - 1] ?? Number.NaN];
}

const ROUTES = "http.requests.rds.80.";

async function routed(envoy: RunningEnvoy, marker: string): Promise<void> {
  await until(`routes with ${marker}`, async () => (await envoy.admin(ROUTE_DUMP)).includes(marker), PATIENT);
}

const ROUTE_DUMP = "/config_dump?resource=dynamic_route_configs";

function virtualService(round: number): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "web" },
    spec: {
      hosts: ["web"],
      http: [{ name: `round-${round}`, route: [{ destination: { host: "web" } }], timeout: `${round + 1}s` }],
    },
  };
}

async function writeServices(kubernetes: TestKubernetes): Promise<void> {
  const namespaces = new Set(Array.from({ length: SERVICES }, (_, index) => namespaceOf(index)));
  for (const name of namespaces) await post(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  for (let first = 0; first < SERVICES; first += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, SERVICES - first) }, (_, index) => first + index);
    await Promise.all(
      batch.map(async (index) => {
        const slices = `/apis/discovery.k8s.io/v1/namespaces/${namespaceOf(index)}/endpointslices`;
        await post(kubernetes, `/api/v1/namespaces/${namespaceOf(index)}/services`, buildService(index));
        await post(kubernetes, slices, buildEndpointSlice(index, endpointAddresses(index, 5)));
      }),
    );
  }
}

async function post(kubernetes: TestKubernetes, path: string, object: object): Promise<void> {
  const { status, body } = await kubernetes.call("POST", path, object);
  if (status !== 201) throw new Error(`POST ${path}: ${JSON.stringify(body)}`);
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

/** In place of a sidecar's listeners, which need a network of their own: one, with the routes of port 80. */
const requests: JsonObject = {
  name: "requests",
  address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
  filter_chains: [
    {
      filters: [
        {
          name: "http",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix: "requests",
            rds: { route_config_name: "80", config_source: { ads: {}, resource_api_version: "V3" } },
            http_filters: ["fault.v3.HTTPFault", "cors.v3.Cors", "router.v3.Router"].map((type) => ({
              name: `envoy.filters.http.${type.split(".")[0]}`,
              typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.http.${type}` },
            })),
          },
        },
      ],
    },
  ],
};

try {
  const kubernetes = await startKubernetes(cleanup, found.programs);
  process.stdout.write(`${buildTable(await measure(kubernetes))}\n`);
} finally {
  for (const end of ends) await end();
  await rm(scratch, { recursive: true, force: true });
}

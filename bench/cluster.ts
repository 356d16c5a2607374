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
import { patchObject, postObject, postObjects } from "./cluster-objects.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { buildMesh, type Manifest } from "./mesh.ts";
import { buildTable, type Measurement, TARGETS } from "./targets.ts";

const SERVICES = 1000;
const PROXIES = 50;
const ROUNDS = 30;
const PATIENT = { timeoutMs: 60_000 };

const found = findKubernetes();
if ("missing" in found) throw new Error(found.missing);
const ends: (() => unknown)[] = [];
const cleanup = { after: (end: () => unknown) => ends.unshift(end) };
const scratch = await mkdtemp(join(tmpdir(), "trysail-bench-"));

async function measure(kubernetes: TestKubernetes): Promise<Measurement[]> {
  await installIstioKinds(kubernetes, everyIstioKind);
  await postObjects(kubernetes, [namespace("trysail-system"), namespace("shop"), WEB]);
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
  const mesh = buildMesh({ services: SERVICES, endpoints: 5 }).map(({ object }) => object);
  await postObjects(
    kubernetes,
    mesh.filter(({ kind }) => kind !== "VirtualService"),
  );
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
  await postObject(kubernetes, virtualService(0));
  await Promise.all(envoys.map((envoy) => routed(envoy, "round-0")));
  const took: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const began = Date.now();
    await patchObject(kubernetes, virtualService(round));
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

const namespace = (name: string): Manifest => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

const WEB = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "shop" },
  spec: { ports: [{ name: "http", port: 80 }] },
};

function virtualService(round: number): Manifest {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "web", namespace: "shop" },
    spec: {
      hosts: ["web"],
      http: [{ name: `round-${round}`, route: [{ destination: { host: "web" } }], timeout: `${round + 1}s` }],
    },
  };
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

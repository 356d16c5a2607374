/**
 * `make bench-pods`: how much later a pod's app starts, and the pod is ready, for its sidecar and init container, on a
 * real node. Pods with and without them are made in turns, each when the one before has gone, so that both kinds meet
 * the same machine.
 */
import { podTemplate } from "../test/cluster/app-objects.ts";
import { create } from "../test/cluster/create.ts";
import {
  createNamespace,
  installMesh,
  type MeshCluster,
  meshCluster,
  type PodName,
} from "../test/cluster/mesh-cluster.ts";
import { until } from "../test/support/until.ts";
import { buildTable, type Measurement, TARGETS } from "./targets.ts";

const ROUNDS = 21;
/** The first pods of a node also wait for what is read from its disk for the first time. */
const WARM_UP = 3;
const PATIENT = { timeoutMs: 120_000 };

/** Milliseconds since a pod's creation was asked for. */
interface PodStart {
  readonly appMs: number;
  readonly readyMs: number;
}

const ends: (() => unknown)[] = [];
const cleanup = { after: (end: () => unknown) => ends.unshift(end) };

async function measure(cluster: MeshCluster): Promise<Measurement[]> {
  await installMesh(cleanup, cluster);
  await createNamespace(cleanup, cluster, "meshed", { "istio-injection": "enabled" });
  await createNamespace(cleanup, cluster, "plain");
  const meshed: PodStart[] = [];
  const plain: PodStart[] = [];
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    process.stderr.write(`bench: pods ${round + 1} of ${WARM_UP + ROUNDS}\n`);
    for (const [namespace, starts] of [
      ["plain", plain],
      ["meshed", meshed],
    ] as const) {
      const start = await startPod(cluster, { namespace, name: `pod-${round}` });
      if (round >= WARM_UP) starts.push(start);
    }
  }
  const app = [plain, meshed].map((starts) => median(starts.map(({ appMs }) => appMs)));
  const ready = [plain, meshed].map((starts) => median(starts.map(({ readyMs }) => readyMs)));
  const [plainAppMs = Number.NaN, meshedAppMs = Number.NaN] = app;
  const [plainReadyMs = Number.NaN, meshedReadyMs = Number.NaN] = ready;
  return [
    { name: `a pod's app started, no sidecar (p50 of ${ROUNDS})`, value: plainAppMs, target: TARGETS.plainPod },
    { name: "its pod ready", value: plainReadyMs, target: TARGETS.plainPod },
    { name: "later by, with a sidecar: app started", value: meshedAppMs - plainAppMs, target: TARGETS.podStart },
    { name: "pod ready", value: meshedReadyMs - plainReadyMs, target: TARGETS.podStart },
  ];
}

/** Makes a pod, waits until it is ready and then until it is gone. */
async function startPod(cluster: MeshCluster, { namespace, name }: PodName): Promise<PodStart> {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const command = ["sh", "-c", "echo started && exec node /opt/app/app.ts"];
  const { metadata, spec } = podTemplate({ namespace, name, container: { command } });
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name }, spec };
  const began = Date.now();
  await create(cluster, path, pod);
  await until(
    `${namespace}/${name} to be ready`,
    async () => {
      const { status } = await cluster.read(`${path}/${name}`);
      if (isReady(status)) return true;
      throw new Error(JSON.stringify(status));
    },
    { ...PATIENT, everyMs: 10 },
  );
  const readyMs = Date.now() - began;
  // The container runtime writes the time before each line, to the nanosecond; statuses have seconds.
  const log: string = await cluster.read(`${path}/${name}/log?container=app&timestamps=true`);
  const appMs = Date.parse(log.split(" ")[0] ?? "") - began;
  await cluster.call("DELETE", `${path}/${name}`, { gracePeriodSeconds: 1 });
  await until(
    `${namespace}/${name} to be gone`,
    async () => (await cluster.call("GET", `${path}/${name}`)).status === 404,
    { ...PATIENT, everyMs: 100 },
  );
  return { appMs, readyMs };
}

interface PodStatus {
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

function isReady({ conditions }: PodStatus): boolean {
  return conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length / 2) - 1] ?? Number.NaN;
}

try {
  process.stdout.write(`${buildTable(await measure(await meshCluster(cleanup)))}\n`);
} finally {
  for (const end of ends) await end();
}

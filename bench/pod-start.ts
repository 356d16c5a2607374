/**
 * `make bench-pods`: how much later a pod's app starts, and the pod is ready, for its sidecar and init container, on a
 * real node. Pods with and without them are made in turns, each when the one before has gone, so that both kinds meet
 * the same machine.
 */
import { podTemplate } from "../test/cluster/app-objects.ts";
import { create } from "../test/cluster/create.ts";
import { createNamespace, installMesh, type MeshCluster, meshCluster } from "../test/cluster/mesh-cluster.ts";
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

/** Without a sidecar, and with one of each sort that Kubernetes has. */
const KINDS = {
  plain: { namespace: "plain", annotations: {} },
  native: { namespace: "meshed", annotations: {} },
  classic: { namespace: "meshed", annotations: { "sidecar.istio.io/nativeSidecar": "false" } },
} as const;
type PodKind = keyof typeof KINDS;

async function measure(cluster: MeshCluster): Promise<Measurement[]> {
  await installMesh(cleanup, cluster);
  await createNamespace(cleanup, cluster, "meshed", { "istio-injection": "enabled" });
  await createNamespace(cleanup, cluster, "plain");
  const starts: Record<PodKind, PodStart[]> = { plain: [], native: [], classic: [] };
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    process.stderr.write(`bench: pods ${round + 1} of ${WARM_UP + ROUNDS}\n`);
    for (const kind of ["plain", "native", "classic"] as const) {
      const start = await startPod(cluster, kind, round);
      if (round >= WARM_UP) starts[kind].push(start);
    }
  }
  const [plain, native, classic] = [medianStart(starts.plain), medianStart(starts.native), medianStart(starts.classic)];
  return [
    { name: `a pod's app started, no sidecar (p50 of ${ROUNDS})`, value: plain.appMs, target: TARGETS.plainPod },
    { name: "its pod ready", value: plain.readyMs, target: TARGETS.plainPod },
    {
      name: "later by, with a native sidecar: app started",
      value: native.appMs - plain.appMs,
      target: TARGETS.podStart,
    },
    { name: "pod ready", value: native.readyMs - plain.readyMs, target: TARGETS.podStart },
    { name: "with one beside the app: app started", value: classic.appMs - plain.appMs, target: TARGETS.podStart },
    { name: "pod ready", value: classic.readyMs - plain.readyMs, target: TARGETS.podStart },
  ];
}

function medianStart(starts: readonly PodStart[]): PodStart {
  return { appMs: median(starts.map(({ appMs }) => appMs)), readyMs: median(starts.map(({ readyMs }) => readyMs)) };
}

/** Makes a pod, waits until it is ready and then until it is gone. */
async function startPod(cluster: MeshCluster, kind: PodKind, round: number): Promise<PodStart> {
  const { namespace, annotations } = KINDS[kind];
  const name = `${kind}-${round}`;
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const command = ["sh", "-c", "echo started && exec node /opt/app/app.ts"];
  const { metadata, spec } = podTemplate({ namespace, name, container: { command } });
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...metadata, name, annotations: { ...metadata.annotations, ...annotations } },
    spec,
  };
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

/**
 * `make bench-pods`: how much later a pod's app starts, and the pod is ready, for its sidecar and init container, on a
 * real node. Pods with and without them are made in turns, each when the one before has gone, so that both kinds meet
 * the same machine.
 */
import { podTemplate } from "../test/cluster/app-objects.ts";
import { create } from "../test/cluster/create.ts";
import { createNamespace, installMesh, type MeshCluster, meshCluster } from "../test/cluster/mesh-cluster.ts";
import { until } from "../test/support/until.ts";
import { median } from "./median.ts";
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

/** Without a sidecar, and with one of each sort that Kubernetes and Istio have. */
const KINDS = {
  plain: { namespace: "plain", annotations: {} },
  native: { namespace: "meshed", annotations: {} },
  beside: { namespace: "meshed", annotations: { "sidecar.istio.io/nativeSidecar": "false" } },
  holding: {
    namespace: "meshed",
    annotations: {
      "sidecar.istio.io/nativeSidecar": "false",
      "proxy.istio.io/config": '{"holdApplicationUntilProxyStarts": true}',
    },
  },
} as const;
type PodKind = keyof typeof KINDS;

const SIDECARS = {
  native: "with a native sidecar",
  beside: "with one beside the app",
  holding: "with one beside the app that holds it",
} as const;

async function measure(cluster: MeshCluster): Promise<Measurement[]> {
  await installMesh(cleanup, cluster);
  await createNamespace(cleanup, cluster, "meshed", { "istio-injection": "enabled" });
  await createNamespace(cleanup, cluster, "plain");
  const starts: Record<PodKind, PodStart[]> = { plain: [], native: [], beside: [], holding: [] };
  for (let round = 0; round < WARM_UP + ROUNDS; round++) {
    process.stderr.write(`bench: pods ${round + 1} of ${WARM_UP + ROUNDS}\n`);
    for (const kind of ["plain", "native", "beside", "holding"] as const) {
      const start = await startPod(cluster, kind, round);
      if (round >= WARM_UP) starts[kind].push(start);
    }
  }
  const plain = medianStart(starts.plain);
  const later = (["native", "beside", "holding"] as const).flatMap((kind) => {
    const { appMs, readyMs } = medianStart(starts[kind]);
    return [
      { name: `later by, ${SIDECARS[kind]}: app started`, value: appMs - plain.appMs, target: TARGETS.podStart },
      { name: "pod ready", value: readyMs - plain.readyMs, target: TARGETS.podStart },
    ];
  });
  return [
    { name: `a pod's app started, no sidecar (p50 of ${ROUNDS})`, value: plain.appMs, target: TARGETS.plainPod },
    { name: "its pod ready", value: plain.readyMs, target: TARGETS.plainPod },
    ...later,
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

try {
  process.stdout.write(`${buildTable(await measure(await meshCluster(cleanup)))}\n`);
} finally {
  for (const end of ends) await end();
}

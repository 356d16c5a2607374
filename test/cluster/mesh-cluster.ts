import type { Cleanup } from "../support/cleanup.ts";
import { CHART, helm } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { clientByKubeconfig, type KubernetesClient } from "./kubernetes-client.ts";

/** Set by test-cluster.sh alone: a developer's own KUBECONFIG is nothing for `make test` to play with. */
const KUBECONFIG = process.env.TRYSAIL_TEST_CLUSTER;

/** Why tests on a cluster with nodes are skipped here, or false. */
export const clusterMissing = KUBECONFIG === undefined ? "no cluster with nodes: make test-cluster brings one" : false;

export const SYSTEM_NAMESPACE = "trysail-system";
export const APP_IMAGE = "trysail/test-app:1";

/** As test/cluster/app.ts answers. */
export interface AppAnswer {
  readonly status: number;
  readonly body: string;
}

export interface MeshCluster extends KubernetesClient {
  readonly kubeconfig: string;
  /** The answer's body, of a request that must succeed. */
  read(path: string): Promise<KubernetesObjectBody>;
  /** Creates objects, or replaces them by server-side apply, as `kubectl apply` would. */
  apply(...objects: readonly ApplicableObject[]): Promise<void>;
  /** Lets a pod's app make a request, from within the mesh. */
  callFrom(pod: PodName, url: string): Promise<AppAnswer>;
  /** Asks what the app keeps out of the mesh: `/load/start?url=…`, `/load/stop`. */
  control(pod: PodName, path: string): Promise<KubernetesObjectBody>;
  /** The ready pods of an app. */
  readyPods(namespace: string, app: string, count: number): Promise<readonly PodName[]>;
  readyPod(namespace: string, app: string): Promise<PodName>;
}

// biome-ignore lint/suspicious/noExplicitAny: an object of any kind, which assertions pick apart
type KubernetesObjectBody = any;

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

export interface ApplicableObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

const PLURALS: Readonly<Record<string, string>> = {
  AuthorizationPolicy: "authorizationpolicies",
  PeerAuthentication: "peerauthentications",
};
/** The image has nothing to be pulled from. */
const VALUES = ["image.tag=test", "image.pullPolicy=Never"];
const READY_MS = 120_000;

export async function meshCluster(t: Cleanup): Promise<MeshCluster> {
  const kubeconfig = KUBECONFIG ?? "";
  const client = await clientByKubeconfig(t, kubeconfig);
  const read = async (path: string) => {
    const { status, body } = await client.call("GET", path);
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body).slice(0, 500)}`);
    return body;
  };
  const proxied = ({ namespace, name }: PodName, path: string) =>
    read(`/api/v1/namespaces/${namespace}/pods/${name}:9000/proxy${path}`);
  const readyPods = (namespace: string, app: string, count: number) =>
    until(
      `${count} ready pods of ${namespace}/${app}`,
      async () => {
        const { items } = await read(`/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${app}`);
        const ready: readonly PodName[] = items.filter(isReady).map(nameOf);
        if (ready.length !== count || items.length !== count) throw new Error(items.map(describe).join("; "));
        return ready;
      },
      { timeoutMs: READY_MS, everyMs: 200 },
    );
  return {
    ...client,
    kubeconfig,
    read,
    async apply(...objects) {
      for (const object of objects) {
        const path = `${pathOf(object)}?fieldManager=test&force=true`;
        await until(
          `${object.kind} ${object.metadata.name} to be taken`,
          async () => {
            const { status, body } = await client.call("PATCH", path, object, "application/apply-patch+yaml");
            if (status >= 300) throw new Error(JSON.stringify(body));
            return true;
          },
          { timeoutMs: 30_000, everyMs: 200 },
        );
      }
    },
    callFrom: (pod, url) => proxied(pod, `/call?url=${encodeURIComponent(url)}`),
    control: proxied,
    readyPods,
    async readyPod(namespace, app) {
      const [pod] = await readyPods(namespace, app, 1);
      if (pod === undefined) throw new Error("no pod");
      return pod;
    },
  };
}

/** Installs a chart, waits until its pods are ready, and uninstalls it when the test ends. */
export async function installMesh(t: Cleanup, cluster: MeshCluster, chart = CHART): Promise<void> {
  uninstallMeshAfter(t, cluster);
  await upgradeRelease(cluster, { release: "trysail", chart });
}

/** Installs the chart, or upgrades to other values, and waits until its pods are ready. */
export function upgradeMesh(cluster: MeshCluster, ...values: readonly string[]): Promise<void> {
  return upgradeRelease(cluster, { release: "trysail", values });
}

/** A control plane of another revision beside it, for as long as `use` takes. */
export async function withRevision(cluster: MeshCluster, revision: string, use: () => Promise<void>): Promise<void> {
  const release = `trysail-${revision}`;
  try {
    await upgradeRelease(cluster, { release, values: [`revision=${revision}`] });
    await use();
  } finally {
    await uninstallRelease(cluster, release);
  }
}

interface Release {
  readonly release: string;
  readonly chart?: string;
  readonly values?: readonly string[];
}

async function upgradeRelease(cluster: MeshCluster, { release, chart = CHART, values = [] }: Release): Promise<void> {
  const set = [...VALUES, ...values].map((value) => `--set=${value}`);
  const place = [`--kubeconfig=${cluster.kubeconfig}`, `--namespace=${SYSTEM_NAMESPACE}`, "--create-namespace"];
  await helm("upgrade", "--install", release, chart, ...place, ...set, "--wait", "--timeout=100s");
}

/** Uninstalls what another hand installed, when the test ends, and its Lease: the next one's leader must not wait for its end. */
export function uninstallMeshAfter(t: Cleanup, cluster: MeshCluster): void {
  t.after(async () => {
    await uninstallMesh(cluster);
    await cluster.call("DELETE", `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM_NAMESPACE}/leases/trysail-leader`);
  });
}

export function uninstallMesh(cluster: MeshCluster): Promise<void> {
  return uninstallRelease(cluster, "trysail");
}

async function uninstallRelease(cluster: MeshCluster, release: string): Promise<void> {
  const place = [`--kubeconfig=${cluster.kubeconfig}`, `--namespace=${SYSTEM_NAMESPACE}`];
  await helm("uninstall", release, ...place, "--wait", "--ignore-not-found", "--timeout=100s");
}

/** A namespace that goes, with everything in it, when the test does. */
export async function createNamespace(
  t: Cleanup,
  cluster: MeshCluster,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  await create(cluster, "/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } });
  removeNamespaceAfter(t, cluster, name);
}

/** Removes a namespace, with everything in it, when the test ends. */
export function removeNamespaceAfter(t: Cleanup, cluster: MeshCluster, name: string): void {
  t.after(async () => {
    await cluster.call("DELETE", `/api/v1/namespaces/${name}`);
    await until(
      `namespace ${name} to be gone`,
      async () => (await cluster.call("GET", `/api/v1/namespaces/${name}`)).status === 404,
      {
        timeoutMs: READY_MS,
        everyMs: 200,
      },
    );
  });
}

function pathOf({ apiVersion, kind, metadata: { name, namespace } }: ApplicableObject): string {
  const plural = PLURALS[kind] ?? `${kind.toLowerCase()}s`;
  const api = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${api}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${plural}/${name}`;
}

interface PodObject {
  readonly metadata: PodName & { readonly deletionTimestamp?: string };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
    readonly containerStatuses?: readonly object[];
    readonly initContainerStatuses?: readonly object[];
  };
}

function isReady({ metadata, status }: PodObject): boolean {
  const ready = status.conditions?.some(({ type, status: holds }) => type === "Ready" && holds === "True") ?? false;
  return ready && metadata.deletionTimestamp === undefined;
}

function nameOf({ metadata: { namespace, name } }: PodObject): PodName {
  return { namespace, name };
}

function describe({ metadata, status }: PodObject): string {
  const containers = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  return `${metadata.name} ${status.phase} ${JSON.stringify(containers).slice(0, 1500)}`;
}

import { setTimeout as sleep } from "node:timers/promises";
import { TRUST } from "../ca/authority/trust-report.ts";
import { TAG_LABEL } from "../control-plane/tag-webhooks.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { listAll } from "../kubernetes/list-all.ts";
import type { KubernetesObject } from "../kubernetes/object.ts";
import { resourcePath } from "../kubernetes/resource-path.ts";
import { TrysailError } from "../platform/errors.ts";
import { TRUST_BUNDLE_MAP } from "../platform/trust-bundle.ts";
import { DISTRIBUTIONS } from "../status/distribution-report.ts";

type Client = Pick<KubernetesClient, "list" | "delete">;

/** What is to go. */
export type UninstallScope =
  /** The control planes of every revision and the tags; what users configured, and the mesh's root, stay. */
  | { readonly kind: "control-planes" }
  /** Also whatever control planes made while they ran, and with `crds` the configuration of every namespace. */
  | { readonly kind: "purge"; readonly crds: boolean };

export interface Removal {
  readonly kind: string;
  /** Empty for objects of the whole cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly path: string;
  readonly uid: string;
  /** Of Helm's that installed it; empty where none did. */
  readonly release: string;
  /** What goes with it, where that is not plain. */
  readonly note: string;
}

export interface UninstallOptions {
  readonly systemNamespace: string;
  readonly scope: UninstallScope;
}

interface Collection {
  readonly kind: string;
  readonly apiVersion: string;
  readonly resource: string;
  /** Absent for objects of the whole cluster. */
  readonly namespace?: string;
}

const BROUGHT = "app.kubernetes.io/part-of=trysail";
/** The charts of gateways and of the rate limit service have releases of their own. */
const INSTALLED = `app=trysail,${BROUGHT}`;
const RELEASE_NAMESPACE = "meta.helm.sh/release-namespace";
const REGISTRATION = "admissionregistration.k8s.io/v1";
const RBAC = "rbac.authorization.k8s.io/v1";
const CONFIG_MAPS = { kind: "ConfigMap", apiVersion: "v1", resource: "configmaps" } as const;
const SECRETS = { kind: "Secret", apiVersion: "v1", resource: "secrets" } as const;
const POLL_MS = 200;

/**
 * What there is to remove, in the order in which it goes: webhooks first, so that nothing waits for them; then the
 * right to write, so that nothing comes back; the program; and what it wrote. What belongs to control planes of other namespaces
 * stays. Rejects as the client's `list`, and with `failed-precondition` where CRDs are to go that those need.
 */
export async function planUninstall(
  client: Client,
  { systemNamespace: namespace, scope }: UninstallOptions,
): Promise<readonly Removal[]> {
  const others = await otherControlPlanes(client, namespace);
  if (scope.kind === "purge" && scope.crds && others.namespaces.length > 0) {
    const where = others.namespaces.join(", ");
    throw new TrysailError("failed-precondition", `control planes in ${where} use the CRDs too: leave --crds out`);
  }
  const marked = (collection: Collection) => find(client, collection, { labelSelector: INSTALLED }, "", others.own);
  const cluster: readonly Collection[] = [
    { kind: "MutatingWebhookConfiguration", apiVersion: REGISTRATION, resource: "mutatingwebhookconfigurations" },
    { kind: "ValidatingWebhookConfiguration", apiVersion: REGISTRATION, resource: "validatingwebhookconfigurations" },
    { kind: "ClusterRoleBinding", apiVersion: RBAC, resource: "clusterrolebindings" },
    { kind: "ClusterRole", apiVersion: RBAC, resource: "clusterroles" },
    // Also those in namespaces whose Secrets it may read.
    { kind: "RoleBinding", apiVersion: RBAC, resource: "rolebindings" },
    { kind: "Role", apiVersion: RBAC, resource: "roles" },
  ];
  const own: readonly Collection[] = [
    { kind: "Deployment", apiVersion: "apps/v1", resource: "deployments", namespace },
    {
      kind: "HorizontalPodAutoscaler",
      apiVersion: "autoscaling/v2",
      resource: "horizontalpodautoscalers",
      namespace,
    },
    { kind: "PodDisruptionBudget", apiVersion: "policy/v1", resource: "poddisruptionbudgets", namespace },
    { kind: "NetworkPolicy", apiVersion: "networking.k8s.io/v1", resource: "networkpolicies", namespace },
    { kind: "ServiceMonitor", apiVersion: "monitoring.coreos.com/v1", resource: "servicemonitors", namespace },
    { kind: "PodMonitor", apiVersion: "monitoring.coreos.com/v1", resource: "podmonitors", namespace },
    { kind: "Service", apiVersion: "v1", resource: "services", namespace },
    { kind: "ServiceAccount", apiVersion: "v1", resource: "serviceaccounts", namespace },
  ];
  const removals: Removal[] = [];
  for (const collection of [...cluster, ...own]) removals.push(...(await marked(collection)));
  const configMaps = await marked({ ...CONFIG_MAPS, namespace });
  const isMeshConfig = ({ name }: Removal) => name === "istio";
  removals.push(...configMaps.filter((removal) => !isMeshConfig(removal)));
  removals.push(...(await helmReleases(client, removals, namespace)));
  if (scope.kind === "control-planes") return removals;

  removals.push(...configMaps.filter(isMeshConfig).map((removal) => ({ ...removal, note: "the mesh config" })));
  const bundle = { fieldSelector: `metadata.name=${TRUST_BUNDLE_MAP}` };
  if (others.namespaces.length === 0) removals.push(...(await find(client, CONFIG_MAPS, bundle, "the trust bundle")));
  for (const { label } of [DISTRIBUTIONS, TRUST]) {
    const reports = { labelSelector: label };
    removals.push(...(await find(client, { ...CONFIG_MAPS, namespace }, reports, "a replica's report")));
  }
  const leases = { kind: "Lease", apiVersion: "coordination.k8s.io/v1", resource: "leases", namespace };
  const isLease = ({ name }: Removal) => name === "trysail-leader" || name.startsWith("trysail-leader-");
  removals.push(...(await find(client, leases)).filter(isLease));
  const root = "the key of the mesh's root: certificates that it signed cannot be renewed";
  const secret = { fieldSelector: "metadata.name=trysail-ca-secret" };
  removals.push(...(await find(client, { ...SECRETS, namespace }, secret, root)));
  if (scope.crds) removals.push(...(await crds(client)));
  return removals;
}

interface OtherControlPlanes {
  /** Where they are. */
  readonly namespaces: readonly string[];
  /** Whether an object is theirs. */
  own(metadata: KubernetesObject["metadata"]): boolean;
}

/** By where Helm installed their webhooks; a tag is theirs whose revision it names. */
async function otherControlPlanes(client: Client, systemNamespace: string): Promise<OtherControlPlanes> {
  const isElsewhere = ({ annotations = {} }: KubernetesObject["metadata"]) =>
    (annotations[RELEASE_NAMESPACE] ?? systemNamespace) !== systemNamespace;
  const path = resourcePath({ apiVersion: REGISTRATION, resource: "mutatingwebhookconfigurations" });
  const all = await listAll(client, path, { query: { labelSelector: INSTALLED }, metadataOnly: true });
  const theirs = all.map(({ metadata }) => metadata).filter(isElsewhere);
  const revisions = new Set(theirs.map(({ labels }) => labels?.["istio.io/rev"]));
  return {
    namespaces: [...new Set(theirs.map(({ annotations }) => annotations?.[RELEASE_NAMESPACE] ?? ""))].sort(),
    own: (metadata) =>
      isElsewhere(metadata) ||
      (metadata.labels?.[TAG_LABEL] !== undefined && revisions.has(metadata.labels["istio.io/rev"])),
  };
}

/** What Helm keeps about releases whose objects these are, so that it does not think they are there. */
async function helmReleases(client: Client, removals: readonly Removal[], namespace: string): Promise<Removal[]> {
  const found: Removal[] = [];
  for (const release of new Set(removals.map(({ release }) => release))) {
    if (release === "") continue;
    const query = { labelSelector: `owner=helm,name=${release}` };
    found.push(...(await find(client, { ...SECRETS, namespace }, query, `what Helm knows of the release ${release}`)));
  }
  return found;
}

const marker = { query: { labelSelector: INSTALLED }, metadataOnly: true } as const;

/** Those that the chart brought; Istio's own are Istio's. */
async function crds(client: Client): Promise<readonly Removal[]> {
  const collection = {
    kind: "CustomResourceDefinition",
    apiVersion: "apiextensions.k8s.io/v1",
    resource: "customresourcedefinitions",
  };
  const found = await find(client, collection, { labelSelector: BROUGHT });
  return Promise.all(
    found.map(async (removal) => {
      const [resource = "", ...group] = removal.name.split(".");
      const version = resource === "proxyconfigs" ? "v1beta1" : "v1";
      const path = resourcePath({ apiVersion: `${group.join(".")}/${version}`, resource });
      const objects = await orNone(listAll(client, path, { metadataOnly: true }));
      return { ...removal, note: `and with it ${objects.length} objects in all namespaces` };
    }),
  );
}

async function find(
  client: Client,
  { kind, apiVersion, resource, namespace }: Collection,
  query: Readonly<Record<string, string>> = {},
  note = "",
  isKept: (metadata: KubernetesObject["metadata"]) => boolean = () => false,
): Promise<readonly Removal[]> {
  const path = resourcePath({ apiVersion, resource, ...(namespace !== undefined && { namespace }) });
  const objects = await orNone(listAll(client, path, { query, metadataOnly: true }));
  const going = objects.filter(({ metadata }) => !isKept(metadata));
  return going.map(({ metadata: { name = "", namespace: place = "", uid = "", labels = {}, annotations = {} } }) => ({
    ...{ kind, namespace: place, name, uid },
    path: resourcePath({ apiVersion, resource, name, ...(place !== "" && { namespace: place }) }),
    release: annotations["meta.helm.sh/release-name"] ?? "",
    note: labels[TAG_LABEL] === undefined ? note : `the tag ${labels[TAG_LABEL]}`,
  }));
}

/** A kind that the cluster does not serve has no objects. */
async function orNone(listing: Promise<readonly KubernetesObject[]>): Promise<readonly KubernetesObject[]> {
  try {
    return await listing;
  } catch (error) {
    if (error instanceof TrysailError && error.code === "not-found") return [];
    throw error;
  }
}

/**
 * Removes what was planned, in its order; what is gone already, or was made anew since, is left alone. Where a
 * Deployment goes, its pods are waited for, so that they write nothing back.
 */
export async function uninstall(
  client: Client,
  removals: readonly Removal[],
  { systemNamespace, removed, timeoutMs }: UninstallRun,
): Promise<void> {
  let awaited = false;
  for (const removal of removals) {
    const isWritten = ["Lease", "Secret", "ConfigMap"].includes(removal.kind);
    if (isWritten && !awaited) await podsGone(client, systemNamespace, timeoutMs);
    awaited ||= isWritten;
    try {
      const options = { query: { propagationPolicy: "Background" } };
      await client.delete(removal.path, { uid: removal.uid }, options);
      removed(removal);
    } catch (error) {
      if (!(error instanceof TrysailError && ["not-found", "aborted"].includes(error.code))) throw error;
    }
  }
}

export interface UninstallRun {
  readonly systemNamespace: string;
  /** Called behind each object. */
  removed(removal: Removal): void;
  /** For pods of the control planes to end. */
  readonly timeoutMs: number;
}

async function podsGone(client: Client, namespace: string, timeoutMs: number): Promise<void> {
  const path = resourcePath({ apiVersion: "v1", resource: "pods", namespace });
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const pods = await listAll(client, path, marker);
    if (pods.length === 0) return;
    if (Date.now() > deadline) {
      const names = pods.map(({ metadata }) => metadata.name).join(", ");
      const message = `pods of the control plane are still there: ${names}; run this again once they have ended`;
      throw new TrysailError("unavailable", message);
    }
    await sleep(POLL_MS);
  }
}

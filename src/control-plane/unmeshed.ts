import { Gauge, type Registry } from "prom-client";
import { skipReason } from "../injection/decide.ts";
import type { InjectionConfig } from "../injection/injection-config.ts";
import { CONTAINER_NAME } from "../injection/pod-contract.ts";
import { parsePod } from "../injection/review.ts";
import type { Pod } from "../mesh/kubernetes/core.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import { TrysailError } from "../platform/errors.ts";

/** A pod that would be injected if it were created now, and has no sidecar. */
export interface UnmeshedPod {
  readonly namespace: string;
  readonly pod: string;
  readonly createdAt: string | null;
}

type Mesh = Pick<MeshSnapshot, "pods" | "namespaces">;

/** Created while the webhook was away, or before its namespace asked for injection: only a new pod can be injected. */
export function findUnmeshed(mesh: Mesh, config: InjectionConfig): UnmeshedPod[] {
  return [...mesh.pods.values()]
    .filter((pod) => isAlive(pod) && !hasSidecar(pod) && isToBeInjected(pod, mesh, config))
    .map(({ metadata }) => ({
      namespace: metadata.namespace,
      pod: metadata.name,
      createdAt: metadata.creationTimestamp ?? null,
    }));
}

function isAlive({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed";
}

function hasSidecar({ spec }: Pod): boolean {
  return [...spec.containers, ...(spec.initContainers ?? [])].some(({ name }) => name === CONTAINER_NAME.proxy);
}

function isToBeInjected(pod: Pod, { namespaces }: Mesh, config: InjectionConfig): boolean {
  const { namespace } = pod.metadata;
  const namespaceLabels = namespaces.get(namespace)?.metadata.labels ?? {};
  try {
    return skipReason({ pod: parsePod(pod), namespace, namespaceLabels, config }) === null;
  } catch (error) {
    // What is no whole pod here was one in Kubernetes, and its webhook has seen it.
    if (error instanceof TrysailError && error.code === "invalid-argument") return false;
    throw error;
  }
}

export interface UnmeshedDeps {
  mesh(): MeshSnapshot;
  config(): InjectionConfig;
  readonly registry: Registry;
}

/** The unmeshed pods of the mesh as it is now, also counted by namespace as a metric; looked for once a change. */
export function createUnmeshedAudit({ mesh, config, registry }: UnmeshedDeps): () => readonly UnmeshedPod[] {
  let seen: { readonly mesh: MeshSnapshot; readonly config: InjectionConfig } | undefined;
  let unmeshed: readonly UnmeshedPod[] = [];
  const current = () => {
    const now = { mesh: mesh(), config: config() };
    if (now.mesh !== seen?.mesh || now.config !== seen.config) {
      unmeshed = findUnmeshed(now.mesh, now.config);
      seen = now;
    }
    return unmeshed;
  };
  new Gauge({
    name: "trysail_unmeshed_pods",
    help: "Pods that should have a sidecar and have none, by namespace",
    labelNames: ["namespace"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { namespace } of current()) this.inc({ namespace });
    },
  });
  return current;
}

import { append } from "../platform/append.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { lazily } from "../platform/lazily.ts";
import { sameMembers } from "../platform/same-members.ts";
import type { WorkloadEntry } from "./istio/workload-entry.ts";
import type { EndpointSlice, Pod } from "./kubernetes/core.ts";
import type { Topology } from "./locality.ts";
import type { MeshService } from "./mesh-service.ts";
import { buildServiceEndpoints, type EndpointSource, type ServiceEndpoints } from "./service-endpoints.ts";
import { WorkloadIndex } from "./workload-index.ts";

/** What services find their endpoints in. */
export interface Workloads {
  readonly slices: readonly EndpointSlice[];
  /** By `NAMESPACE/NAME`. */
  readonly pods: ReadonlyMap<string, Pod>;
  readonly workloadEntries: readonly WorkloadEntry[];
  readonly topology: Topology;
}

/** Finds the endpoints of services, again and again. */
export interface EndpointIndex {
  /** What is the same as the last time keeps its identity; so does the whole map, where nothing changed. */
  endpointsOf(services: readonly MeshService[], workloads: Workloads): ReadonlyMap<MeshService, ServiceEndpoints>;
}

export function createEndpointIndex(cache: BuildCache): EndpointIndex {
  let last: Last | undefined;
  return {
    endpointsOf(services, workloads) {
      const { slices, pods, workloadEntries, topology } = workloads;
      const inputs = [services, slices, [...pods.values()], workloadEntries, [topology]];
      if (last?.inputs.every((list, index) => sameMembers(list, inputs[index] ?? []))) return last.endpoints;
      const sources = findSources(services, workloads);
      const endpoints = new Map<MeshService, ServiceEndpoints>();
      for (const [service, found] of sources) {
        const known = last?.sources.get(service);
        const stable = known !== undefined && sameMembers(known, found) ? known : found;
        sources.set(service, stable);
        endpoints.set(service, cache.get(buildServiceEndpoints, stable, service, topology));
      }
      last = { inputs, sources, endpoints };
      return endpoints;
    },
  };
}

interface Last {
  readonly inputs: readonly (readonly unknown[])[];
  readonly sources: ReadonlyMap<MeshService, readonly EndpointSource[]>;
  readonly endpoints: ReadonlyMap<MeshService, ServiceEndpoints>;
}

/** Joins each service with its slices, and their addresses with the pods that own them; then with what it selects itself. */
function findSources(
  services: readonly MeshService[],
  { slices, pods, workloadEntries }: Workloads,
): Map<MeshService, readonly EndpointSource[]> {
  const slicesOf = Map.groupBy(
    slices,
    ({ metadata }) => `${metadata.namespace}/${metadata.labels["kubernetes.io/service-name"]}`,
  );
  const podByAddress = new Map<string, Pod>();
  for (const pod of pods.values()) {
    if (pod.status?.podIP !== undefined && pod.spec.hostNetwork !== true) podByAddress.set(pod.status.podIP, pod);
  }
  const podOf = (endpoint: NonNullable<EndpointSlice["endpoints"]>[number], namespace: string): Pod | undefined =>
    endpoint.targetRef?.kind === "Pod"
      ? pods.get(`${endpoint.targetRef.namespace ?? namespace}/${endpoint.targetRef.name}`)
      : podByAddress.get(endpoint.addresses[0] ?? "");
  const entries = new WorkloadIndex(
    workloadEntries.map((entry) => ({
      namespace: entry.metadata.namespace,
      labels: { ...entry.metadata.labels, ...entry.spec.labels },
      entry,
    })),
  );
  const labelledPods = lazily(
    () =>
      new WorkloadIndex(
        [...pods.values()].map((pod) => ({ namespace: pod.metadata.namespace, labels: pod.metadata.labels, pod })),
      ),
  );

  const found = new Map<MeshService, readonly EndpointSource[]>();
  for (const service of services) {
    const { kind, name, namespace, selector } = service;
    const sources: EndpointSource[] = [];
    for (const slice of kind === "Service" ? (slicesOf.get(`${namespace}/${name}`) ?? []) : []) {
      sources.push(slice);
      for (const endpoint of slice.endpoints ?? []) sources.push(podOf(endpoint, namespace));
    }
    if (selector !== undefined && Object.keys(selector).length > 0) {
      // Kubernetes itself makes the slices for the pods that a Service selects.
      if (kind === "ServiceEntry") {
        sources.push(
          ...labelledPods()
            .selected(selector, namespace)
            .map(({ pod }) => pod),
        );
      }
      append(
        sources,
        entries.selected(selector, namespace).map(({ entry }) => entry),
      );
    }
    found.set(service, sources);
  }
  return found;
}

import { BuildCache } from "../platform/build-cache.ts";
import type { Finding } from "./finding.ts";
import type { AuthorizationPolicy } from "./istio/authorization-policy.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import type { ProxyConfigResource } from "./istio/proxy-config.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { ConfigMap, EndpointSlice, Namespace, Pod, WorkloadController } from "./kubernetes/core.ts";
import { mergeDestinationRules } from "./merge-destination-rules.ts";
import { buildDefaultMeshConfig, type MeshConfig, meshConfigHolder, parseMeshConfig } from "./mesh-config.ts";
import { buildMeshService, type MeshService } from "./mesh-service.ts";
import { type MeshObject, olderFirst } from "./object.ts";
import type { ObjectSet } from "./object-set.ts";
import { type ObjectsByKind, objectsByKind } from "./objects-by-kind.ts";
import { buildServiceEndpoints, type ServiceEndpoints, type SliceAndPods } from "./service-endpoints.ts";

/**
 * The whole mesh at one moment, immutable and indexed. Everything in it keeps its identity from one snapshot to the
 * next for as long as it says the same, so that what was built from it can be kept too.
 */
export interface MeshSnapshot {
  readonly config: MeshConfig;
  readonly namespaces: ReadonlyMap<string, Namespace>;
  /** By host name; in order of namespace and name. */
  readonly services: ReadonlyMap<string, MeshService>;
  servicesIn(namespace: string): readonly MeshService[];
  /** By host name; every service has an entry. */
  readonly endpoints: ReadonlyMap<string, ServiceEndpoints>;
  /** By `NAMESPACE/NAME`. */
  readonly pods: ReadonlyMap<string, Pod>;
  readonly workloads: readonly WorkloadController[];
  /** Oldest first: where two claim a host, the first one has it. */
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  /** Of the root namespaces and the named one. */
  peerAuthenticationsFor(namespace: string): readonly PeerAuthentication[];
  /** Of the root namespaces and the named one. */
  authorizationPoliciesFor(namespace: string): readonly AuthorizationPolicy[];
  /** Of the root namespaces and the named one. */
  proxyConfigsFor(namespace: string): readonly ProxyConfigResource[];
  readonly findings: readonly Finding[];
}

export interface SnapshotBuilder {
  build(set: ObjectSet): MeshSnapshot;
}

/** A builder that remembers its last snapshot, to keep identities. */
export function createSnapshotBuilder(trustDomain: string, cache: BuildCache = new BuildCache()): SnapshotBuilder {
  const defaults: ReadConfig = { holder: undefined, config: buildDefaultMeshConfig(trustDomain), findings: [] };
  let read = defaults;
  return {
    build(set) {
      const of = objectsByKind(set.objects);
      const holder = meshConfigHolder(of.ConfigMap);
      if (holder === undefined) read = defaults;
      else if (holder !== read.holder) read = { holder, ...parseMeshConfig(holder, read.config) };
      const snapshot = buildSnapshot(of, read.config, [...set.findings, ...read.findings], cache);
      cache.endRound();
      return snapshot;
    },
  };
}

/** The mesh config as it was last read, and from where. */
interface ReadConfig {
  readonly holder: ConfigMap | undefined;
  readonly config: MeshConfig;
  readonly findings: readonly Finding[];
}

function buildSnapshot(
  of: ObjectsByKind,
  config: MeshConfig,
  findings: readonly Finding[],
  cache: BuildCache,
): MeshSnapshot {
  const services = new Map<string, MeshService>();
  for (const object of of.Service) {
    const service = cache.get(buildMeshService, object, config.domain);
    if (service !== null) services.set(service.hostname, service);
  }
  const byNamespace = Map.groupBy(services.values(), ({ namespace }) => namespace);
  const pods = new Map(of.Pod.map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod]));
  return {
    config,
    namespaces: new Map(of.Namespace.map((namespace) => [namespace.metadata.name, namespace])),
    services,
    servicesIn: (namespace) => byNamespace.get(namespace) ?? NONE,
    endpoints: endpointsOf(services, of.EndpointSlice, pods, cache),
    pods,
    workloads: of.WorkloadController,
    virtualServices: cache.list("VirtualService", of.VirtualService.sort(olderFirst)),
    destinationRules: cache.list(
      "DestinationRule",
      mergeDestinationRules(of.DestinationRule.sort(olderFirst), config.domain, cache),
    ),
    peerAuthenticationsFor: policiesByNamespace(of.PeerAuthentication, config.rootNamespaces, cache),
    authorizationPoliciesFor: policiesByNamespace(of.AuthorizationPolicy, config.rootNamespaces, cache),
    proxyConfigsFor: policiesByNamespace(of.ProxyConfig, config.rootNamespaces, cache),
    findings,
  };
}

/** Joins each service with its slices, and their addresses with the pods that own them. */
function endpointsOf(
  services: ReadonlyMap<string, MeshService>,
  slices: readonly EndpointSlice[],
  pods: ReadonlyMap<string, Pod>,
  cache: BuildCache,
): ReadonlyMap<string, ServiceEndpoints> {
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
  const endpoints = new Map<string, ServiceEndpoints>();
  for (const service of services.values()) {
    const input: SliceAndPods[] = [];
    for (const slice of slicesOf.get(`${service.namespace}/${service.name}`) ?? []) {
      input.push(slice);
      for (const endpoint of slice.endpoints ?? []) input.push(podOf(endpoint, service.namespace));
    }
    const stable = cache.list(`endpoints of ${service.hostname}`, input);
    endpoints.set(service.hostname, cache.get(buildServiceEndpoints, stable, service));
  }
  return endpoints;
}

/** Looks up a namespace's policies together with the whole mesh's, as lists that keep their identity. */
function policiesByNamespace<P extends MeshObject>(
  policies: readonly P[],
  rootNamespaces: readonly string[],
  cache: BuildCache,
): (namespace: string) => readonly P[] {
  const byNamespace = Map.groupBy(policies, ({ metadata }) => metadata.namespace);
  const root = cache.list(
    `${policies[0]?.kind} of the mesh`,
    rootNamespaces.flatMap((namespace) => byNamespace.get(namespace) ?? []),
  );
  const joined = new Map<string, readonly P[]>();
  for (const [namespace, own] of byNamespace) {
    if (rootNamespaces.includes(namespace)) continue;
    joined.set(namespace, cache.list(`${policies[0]?.kind} in ${namespace}`, [...root, ...own]));
  }
  return (namespace) => joined.get(namespace) ?? root;
}

const NONE: readonly never[] = Object.freeze([]);

import { BuildCache } from "../platform/build-cache.ts";
import { allocateAutoAddresses } from "./auto-addresses.ts";
import { createEndpointIndex, type EndpointIndex } from "./endpoint-sources.ts";
import type { Finding } from "./finding.ts";
import type { AuthorizationPolicy } from "./istio/authorization-policy.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import type { ProxyConfigResource } from "./istio/proxy-config.ts";
import type { Sidecar } from "./istio/sidecar.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { ConfigMap, Namespace, Pod, Secret, WorkloadController } from "./kubernetes/core.ts";
import { buildTopology, nodePlace, type Topology } from "./locality.ts";
import { mergeDestinationRules } from "./merge-destination-rules.ts";
import { buildDefaultMeshConfig, type MeshConfig, meshConfigHolder, parseMeshConfig } from "./mesh-config.ts";
import { buildMeshService, type MeshService } from "./mesh-service.ts";
import { type MeshObject, olderFirst } from "./object.ts";
import type { ObjectSet } from "./object-set.ts";
import { type ObjectsByKind, objectsByKind } from "./objects-by-kind.ts";
import { resolveDelegates } from "./resolve-delegates.ts";
import type { ServiceEndpoints } from "./service-endpoints.ts";
import { buildServiceEntryService, takesAutoAddresses } from "./service-entry-services.ts";

/**
 * The whole mesh at one moment, immutable and indexed. Everything in it keeps its identity from one snapshot to the
 * next for as long as it says the same, so that what was built from it can be kept too.
 */
export interface MeshSnapshot {
  readonly config: MeshConfig;
  readonly namespaces: ReadonlyMap<string, Namespace>;
  /**
   * Services in order of namespace and name, then the hosts of ServiceEntries, oldest first. Of several with one host
   * name a caller sees the one in its own namespace, else the first.
   */
  readonly services: readonly MeshService[];
  servicesIn(namespace: string): readonly MeshService[];
  endpointsOf(service: MeshService): ServiceEndpoints;
  readonly topology: Topology;
  /** By `NAMESPACE/NAME`. */
  readonly pods: ReadonlyMap<string, Pod>;
  secret(namespace: string, name: string): Secret | undefined;
  readonly workloads: readonly WorkloadController[];
  /** Those with hosts, oldest first: where two claim a host, the first one has it. */
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  /** Oldest first, those that select workloads before the others. */
  sidecarsIn(namespace: string): readonly Sidecar[];
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
  const endpoints = createEndpointIndex(cache);
  let read = defaults;
  return {
    build(set) {
      const of = objectsByKind(set.objects);
      const holder = meshConfigHolder(of.ConfigMap);
      if (holder === undefined) read = defaults;
      else if (holder !== read.holder) read = { holder, ...parseMeshConfig(holder, read.config) };
      const snapshot = buildSnapshot(of, read.config, [...set.findings, ...read.findings], { cache, endpoints });
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
  { cache, endpoints: index }: { readonly cache: BuildCache; readonly endpoints: EndpointIndex },
): MeshSnapshot {
  const found = [...kubernetesServices(of, config, cache), ...entryServices(of, cache)];
  const services = cache.list("services", found);
  const byNamespace = Map.groupBy(services, ({ namespace }) => namespace);
  const pods = new Map(of.Pod.map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod]));
  const secrets = new Map(of.Secret.map((secret) => [`${secret.metadata.namespace}/${secret.metadata.name}`, secret]));
  const places = [...new Set(of.Node.map(nodePlace))].sort();
  // Equal places are the same text, so that a node's heartbeat changes nothing.
  const topology = cache.get(buildTopology, cache.list("places of nodes", places));
  const workloads = { slices: of.EndpointSlice, pods, workloadEntries: of.WorkloadEntry, topology };
  const endpoints = index.endpointsOf(services, workloads);
  const sidecars = Map.groupBy(of.Sidecar.sort(narrowerFirst), ({ metadata }) => metadata.namespace);
  return {
    config,
    namespaces: new Map(of.Namespace.map((namespace) => [namespace.metadata.name, namespace])),
    services,
    servicesIn: (namespace) => byNamespace.get(namespace) ?? NONE,
    endpointsOf: (service) => endpoints.get(service) ?? NO_ENDPOINTS,
    topology,
    pods,
    secret: (namespace, name) => secrets.get(`${namespace}/${name}`),
    workloads: of.WorkloadController,
    virtualServices: cache.list(
      "VirtualService",
      resolveDelegates(of.VirtualService.sort(olderFirst), config.domain, cache),
    ),
    destinationRules: cache.list(
      "DestinationRule",
      mergeDestinationRules(of.DestinationRule.sort(olderFirst), config.domain, cache),
    ),
    sidecarsIn: (namespace) => sidecars.get(namespace) ?? NONE,
    peerAuthenticationsFor: policiesByNamespace(of.PeerAuthentication, config.rootNamespaces, cache),
    authorizationPoliciesFor: policiesByNamespace(of.AuthorizationPolicy, config.rootNamespaces, cache),
    proxyConfigsFor: policiesByNamespace(of.ProxyConfig, config.rootNamespaces, cache),
    findings,
  };
}

function kubernetesServices(of: ObjectsByKind, config: MeshConfig, cache: BuildCache): MeshService[] {
  const services: MeshService[] = [];
  for (const object of of.Service) {
    const service = cache.get(buildMeshService, object, config.domain);
    if (service !== null) services.push(service);
  }
  return services;
}

function entryServices(of: ObjectsByKind, cache: BuildCache): MeshService[] {
  const hosts = of.ServiceEntry.sort(olderFirst).flatMap((entry) =>
    entry.spec.hosts.map((host) => ({ entry, host, key: `${entry.metadata.namespace}/${host.toLowerCase()}` })),
  );
  const addresses = allocateAutoAddresses(
    hosts.filter(({ entry, host }) => takesAutoAddresses(entry, host)).map(({ key }) => key),
  );
  return hosts.map(({ entry, host, key }) => {
    const own = takesAutoAddresses(entry, host) ? (addresses.get(key) ?? "") : "";
    return cache.get(buildServiceEntryService, entry, host, own);
  });
}

function narrowerFirst(a: Sidecar, b: Sidecar): number {
  return (
    Number(a.spec.workloadSelector === undefined) - Number(b.spec.workloadSelector === undefined) || olderFirst(a, b)
  );
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
export const NO_ENDPOINTS: ServiceEndpoints = Object.freeze({ endpoints: NONE, identities: NONE });

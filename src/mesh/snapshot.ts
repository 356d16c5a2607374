import { BuildCache } from "../platform/build-cache.ts";
import { sameMembers } from "../platform/same-members.ts";
import { allocateAutoAddresses } from "./auto-addresses.ts";
import { discovered } from "./discovery-selectors.ts";
import { createEndpointIndex } from "./endpoint-sources.ts";
import type { Finding } from "./finding.ts";
import { withFurtherNames } from "./further-names.ts";
import type { AuthorizationPolicy } from "./istio/authorization-policy.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { Gateway } from "./istio/gateway.ts";
import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import type { ProxyConfigResource } from "./istio/proxy-config.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import type { Sidecar } from "./istio/sidecar.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { Namespace, Pod, Secret, WorkloadController } from "./kubernetes/core.ts";
import type { Topology } from "./locality.ts";
import { mergeDestinationRules } from "./merge-destination-rules.ts";
import { type MeshConfig, SYSTEM_NAMESPACE } from "./mesh-config.ts";
import { createMeshConfigReader } from "./mesh-config-reader.ts";
import { buildMeshService, type MeshService } from "./mesh-service.ts";
import { buildNetworkGateways, gatewayPlaces, type NetworkGateways, namedGatewayPlaces } from "./network-gateways.ts";
import { type MeshObject, olderFirst } from "./object.ts";
import type { ObjectSet } from "./object-set.ts";
import { type ObjectsByKind, objectsByKind } from "./objects-by-kind.ts";
import { outlinedObjects } from "./outlined-objects.ts";
import {
  buildRemoteService,
  createRemoteEndpoints,
  type RemoteCluster,
  remoteClusters,
  remoteServices,
  topologyOf,
} from "./remote-clusters.ts";
import { resolveDelegates } from "./resolve-delegates.ts";
import type { ServiceEndpoints } from "./service-endpoints.ts";
import { buildServiceEntryService, takesAutoAddresses } from "./service-entry-services.ts";
import { distributionAnnotation } from "./traffic-distribution.ts";
import type { RateLimit } from "./trysail/rate-limit.ts";

/**
 * The whole mesh at one moment, immutable and indexed. Everything in it keeps its identity from one snapshot to the
 * next for as long as it says the same, so that what was built from it can be kept too.
 */
export interface MeshSnapshot extends MeshOutline {
  readonly outline: MeshOutline;
  endpointsOf(service: MeshService): ServiceEndpoints;
  /** By `NAMESPACE/NAME`. */
  readonly pods: ReadonlyMap<string, Pod>;
  readonly findings: readonly Finding[];
}

/** All but endpoints and pods, which change far more often: the same object until something else does. */
export interface MeshOutline {
  readonly config: MeshConfig;
  readonly namespaces: ReadonlyMap<string, Namespace>;
  /**
   * Services in order of namespace and name, then those that only other clusters have, then the hosts of
   * ServiceEntries, oldest first. Of several with one host name a caller sees the one in its own namespace, else the
   * first.
   */
  readonly services: readonly MeshService[];
  servicesIn(namespace: string): readonly MeshService[];
  /** Of the mesh's own cluster. */
  readonly topology: Topology;
  /** Into the networks that have some, this one's own among them. */
  readonly networkGateways: NetworkGateways;
  secret(namespace: string, name: string): Secret | undefined;
  readonly workloads: readonly WorkloadController[];
  /** Those with hosts, oldest first: where two claim a host, the first one has it. */
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  /** Oldest first. */
  readonly gateways: readonly Gateway[];
  /** Oldest first, those that select workloads before the others. */
  sidecarsIn(namespace: string): readonly Sidecar[];
  /** Of the root namespaces and the named one. */
  peerAuthenticationsFor(namespace: string): readonly PeerAuthentication[];
  /** Of the root namespaces and the named one. */
  authorizationPoliciesFor(namespace: string): readonly AuthorizationPolicy[];
  /** Of the root namespaces and the named one. */
  proxyConfigsFor(namespace: string): readonly ProxyConfigResource[];
  /** Of the root namespaces and the named one, the older first in each. */
  rateLimitsFor(namespace: string): readonly RateLimit[];
}

export interface SnapshotBuilder {
  build(set: ObjectSet): MeshSnapshot;
}

export interface SnapshotOptions {
  readonly systemNamespace?: string;
  /** Names the mesh's own cluster among others. */
  readonly cluster?: string;
  readonly cache?: BuildCache;
}

/** A builder that remembers its last snapshot, to keep identities. */
export function createSnapshotBuilder(
  trustDomain: string,
  { systemNamespace = SYSTEM_NAMESPACE, cluster = "Kubernetes", cache = new BuildCache() }: SnapshotOptions = {},
): SnapshotBuilder {
  const readMeshConfig = createMeshConfigReader(trustDomain, systemNamespace);
  const index = { local: createEndpointIndex(cache), remote: createRemoteEndpoints(cache) };
  const parts = cache.ofParts();
  let last: { readonly of: readonly unknown[]; readonly outline: MeshOutline } | undefined;
  return {
    build(set) {
      const all = objectsByKind(set.objects);
      const { config, findings } = readMeshConfig(all.ConfigMap);
      const objects = discovered(set.objects, config);
      const of = objects === set.objects ? all : objectsByKind(objects);
      const clusters = remoteClusters(set.remotes, config);
      const outlined = outlinedObjects(set);
      if (last === undefined || !sameMembers(last.of, outlined)) {
        const { addresses = NO_ADDRESSES } = set;
        last = {
          of: outlined,
          outline: buildOutline({ of, cluster, clusters, addresses, config }, parts),
        };
        parts.endRound();
      }
      const { outline } = last;
      const pods = new Map(of.Pod.map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod]));
      const workloads = {
        slices: of.EndpointSlice,
        pods,
        workloadEntries: of.WorkloadEntry,
        topology: outline.topology,
      };
      const here = index.local.endpointsOf(outline.services, workloads);
      const endpoints = index.remote.join(outline.services, here, clusters, config);
      cache.endRound();
      return {
        ...outline,
        outline,
        endpointsOf: (service) => endpoints.get(service) ?? NO_ENDPOINTS,
        pods,
        findings: [...set.findings, ...findings],
      };
    },
  };
}

interface OutlineInput {
  readonly of: ObjectsByKind;
  readonly cluster: string;
  readonly clusters: readonly RemoteCluster[];
  readonly addresses: NonNullable<ObjectSet["addresses"]>;
  readonly config: MeshConfig;
}

function buildOutline({ of, cluster, clusters, addresses, config }: OutlineInput, cache: BuildCache): MeshOutline {
  const { remote, entries } = addressedServices(of, clusters, config, cache);
  // A ServiceEntry of any namespace may name any host: what Kubernetes has by that name goes before it, here or elsewhere.
  const all = [...kubernetesServices(of, config, cache), ...remote, ...entries];
  const services = cache.list("services", withFurtherNames(all, of.Service, config.domain, cache));
  const byNamespace = Map.groupBy(services, ({ namespace }) => namespace);
  const secrets = new Map(of.Secret.map((secret) => [`${secret.metadata.namespace}/${secret.metadata.name}`, secret]));
  const servicesOf = [{ name: cluster, of }, ...clusters].map(({ name, of }) => ({ name, services: of.Service }));
  const gateways = [
    ...servicesOf.flatMap(({ services }) => services.flatMap((service) => gatewayPlaces(service, addresses))),
    ...namedGatewayPlaces(config.networks, servicesOf, config.domain, addresses),
  ];
  const sidecars = Map.groupBy(of.Sidecar.sort(narrowerFirst), ({ metadata }) => metadata.namespace);
  return {
    config,
    namespaces: new Map(of.Namespace.map((namespace) => [namespace.metadata.name, namespace])),
    services,
    servicesIn: (namespace) => byNamespace.get(namespace) ?? NONE,
    topology: topologyOf(of, cluster, config, cache),
    networkGateways: cache.get(buildNetworkGateways, cache.list("gateways of networks", [...new Set(gateways)].sort())),
    secret: (namespace, name) => secrets.get(`${namespace}/${name}`),
    workloads: of.WorkloadController,
    virtualServices: cache.list("VirtualService", resolveDelegates(of.VirtualService.sort(olderFirst), config, cache)),
    destinationRules: cache.list(
      "DestinationRule",
      mergeDestinationRules(of.DestinationRule.sort(olderFirst), config.domain, cache),
    ),
    gateways: cache.list("Gateway", of.Gateway.sort(olderFirst)),
    sidecarsIn: (namespace) => sidecars.get(namespace) ?? NONE,
    peerAuthenticationsFor: policiesByNamespace(of.PeerAuthentication, config.rootNamespaces, cache),
    authorizationPoliciesFor: policiesByNamespace(of.AuthorizationPolicy, config.rootNamespaces, cache),
    proxyConfigsFor: policiesByNamespace(of.ProxyConfig, config.rootNamespaces, cache),
    rateLimitsFor: policiesByNamespace(of.RateLimit.sort(olderFirst), config.rootNamespaces, cache),
  };
}

function kubernetesServices(of: ObjectsByKind, config: MeshConfig, cache: BuildCache): MeshService[] {
  const services: MeshService[] = [];
  const says = namespaceSays(of);
  for (const object of of.Service) {
    const service = cache.get(buildMeshService, object, config.domain, says(object));
    if (service !== null) services.push(service);
  }
  return services;
}

/** Each once, in whatever case it is said again. */
function hostsOf({ spec }: ServiceEntry): string[] {
  return [...new Set(spec.hosts.map((host) => host.toLowerCase()))];
}

/** Those of ServiceEntries and of other clusters, whose addresses may have to be made up. */
function addressedServices(
  of: ObjectsByKind,
  clusters: readonly RemoteCluster[],
  config: MeshConfig,
  cache: BuildCache,
): { readonly remote: readonly MeshService[]; readonly entries: readonly MeshService[] } {
  const remote = remoteServices(clusters, of.Service, config).map((service) => ({
    service,
    key: `${service.metadata.namespace}/${service.metadata.name}.${service.metadata.namespace}.svc.${config.domain}`,
  }));
  const hosts = of.ServiceEntry.sort(olderFirst).flatMap((entry) =>
    hostsOf(entry).map((host) => ({ entry, host, key: `${entry.metadata.namespace}/${host}` })),
  );
  const taking = [...hosts.filter(({ entry, host }) => takesAutoAddresses(entry, host)), ...remote];
  const addresses = allocateAutoAddresses(taking.map(({ key }) => key));
  const says = namespaceSays(of);
  const entries = hosts.map(({ entry, host, key }) => {
    const own = takesAutoAddresses(entry, host) ? (addresses.get(key) ?? "") : "";
    return cache.get(buildServiceEntryService, entry, host, own, says(entry));
  });
  const others = remote.flatMap(
    ({ service, key }) =>
      cache.get(buildRemoteService, service, config.domain, addresses.get(key) ?? "", says(service)) ?? [],
  );
  return { remote: others, entries };
}

/** How the namespace of an object would have traffic distributed. */
function namespaceSays({ Namespace }: ObjectsByKind): (object: MeshObject) => string {
  const said = new Map(Namespace.map(({ metadata }) => [metadata.name, distributionAnnotation(metadata)]));
  return ({ metadata }) => said.get(metadata.namespace) ?? "";
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

const NO_ADDRESSES: NonNullable<ObjectSet["addresses"]> = new Map();
const NONE: readonly never[] = Object.freeze([]);
export const NO_ENDPOINTS: ServiceEndpoints = Object.freeze({ endpoints: NONE, identities: NONE });

import type { BuildCache } from "../platform/build-cache.ts";
import { ipVersion } from "../platform/ip-version.ts";
import { discovered } from "./discovery-selectors.ts";
import { createEndpointIndex, type EndpointIndex } from "./endpoint-sources.ts";
import { hostMatches } from "./hostname.ts";
import type { WorkloadEntry } from "./istio/workload-entry.ts";
import type { Service } from "./kubernetes/core.ts";
import { buildTopology, nodePlace, type Topology } from "./locality.ts";
import type { MeshConfig } from "./mesh-config.ts";
import { networkByRange } from "./mesh-networks.ts";
import { buildMeshService, type MeshService } from "./mesh-service.ts";
import { clusterNetwork, NETWORK_LABEL } from "./network-gateways.ts";
import { compareText } from "./object.ts";
import type { RemoteObjects } from "./object-set.ts";
import { type ObjectsByKind, objectsByKind } from "./objects-by-kind.ts";
import type { MeshEndpoint, ServiceEndpoints } from "./service-endpoints.ts";

/** Another cluster, its objects by kind. */
export interface RemoteCluster {
  readonly name: string;
  readonly of: ObjectsByKind;
}

/** Of each cluster the namespaces that the mesh discovers, by the labels that they have there. */
export function remoteClusters(
  remotes: readonly RemoteObjects[] = [],
  config: Pick<MeshConfig, "discoverySelectors" | "rootNamespaces">,
): readonly RemoteCluster[] {
  return remotes.map(({ cluster, objects }) => ({ name: cluster, of: objectsByKind(discovered(objects, config)) }));
}

/** Equal places are the same text, so that a node's heartbeat changes nothing. */
export function topologyOf(of: ObjectsByKind, cluster: string, config: MeshConfig, cache: BuildCache): Topology {
  const places = [...new Set(of.Node.map(nodePlace))].sort();
  const network = clusterNetwork(of.Namespace, config.rootNamespaces);
  const list = cache.list(`places of nodes ${cluster}`, places);
  return cache.get(buildTopology, list, network, cluster, config.networks);
}

/** Services that only other clusters have; of several with one name the first cluster's. */
export function remoteServices(
  clusters: readonly RemoteCluster[],
  local: readonly Service[],
  config: MeshConfig,
): readonly Service[] {
  const nameOf = ({ metadata }: Service) => `${metadata.namespace}/${metadata.name}`;
  const known = new Set(local.map(nameOf));
  const found: Service[] = [];
  for (const { of } of clusters) {
    for (const service of of.Service) {
      const { name, namespace } = service.metadata;
      // Another name for something is meant for those who asked that cluster's DNS.
      if (known.has(nameOf(service)) || service.spec.type === "ExternalName") continue;
      if (isClusterLocal(`${name}.${namespace}.svc.${config.domain}`, config)) continue;
      known.add(nameOf(service));
      found.push(service);
    }
  }
  return found;
}

/**
 * A service that only another cluster has. Its virtual address there may be somebody else's here, so it gets addresses
 * that were made up for it; `autoAddresses` is empty where there are none left. `namespaceSays` is how its namespace would
 * have traffic distributed.
 */
export function buildRemoteService(
  service: Service,
  domain: string,
  autoAddresses: string,
  namespaceSays: string = "",
): MeshService | null {
  const built = buildMeshService(service, domain, namespaceSays);
  if (built === null) return null;
  const hasOwn = !built.isHeadless && autoAddresses !== "";
  return { ...built, addresses: [], autoAddresses: hasOwn ? autoAddresses.split(",") : [] };
}

/** Finds the endpoints that services have in other clusters, again and again. */
export interface RemoteEndpoints {
  /** Of each service its endpoints in every cluster, those at hand first; lists keep their identity. */
  join(
    services: readonly MeshService[],
    local: ReadonlyMap<MeshService, ServiceEndpoints>,
    clusters: readonly RemoteCluster[],
    config: MeshConfig,
  ): ReadonlyMap<MeshService, ServiceEndpoints>;
}

export function createRemoteEndpoints(cache: BuildCache): RemoteEndpoints {
  const indexes = new Map<string, EndpointIndex>();
  return {
    join(services, local, clusters, config) {
      const names = new Set(clusters.map(({ name }) => name));
      for (const name of indexes.keys()) if (!names.has(name)) indexes.delete(name);
      if (clusters.length === 0) return local;
      const shared = cache.list(
        "services of several clusters",
        services.filter(({ kind, resolution, hostname, selector }) => {
          if (resolution !== "endpoints") return false;
          // A ServiceEntry is of this cluster, and so is what it lists; the pods that it selects may be anywhere.
          return kind === "Service" ? !isClusterLocal(hostname, config) : selector !== undefined;
        }),
      );
      const remote = clusters.map(({ name, of }) => {
        const index = indexes.get(name) ?? createEndpointIndex(cache);
        indexes.set(name, index);
        const pods = new Map(of.Pod.map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod]));
        const topology = topologyOf(of, name, config, cache);
        const workloadEntries = of.WorkloadEntry.flatMap((entry) => cache.get(remoteEntry, entry, topology) ?? []);
        const found = index.endpointsOf(shared, { slices: of.EndpointSlice, pods, workloadEntries, topology });
        return (service: MeshService) => {
          const there = found.get(service);
          return there === undefined || !isSomething(there) ? [] : [cache.get(withoutNodes, there)];
        };
      });
      const joined = new Map(local);
      for (const service of shared) {
        const here = local.get(service);
        const parts = [
          ...(here !== undefined && isSomething(here) ? [here] : []),
          ...remote.flatMap((found) => found(service)),
        ];
        const [only = here] = parts;
        if (only === undefined) continue;
        const list = cache.list(`endpoints of ${service.hostname} by cluster`, parts);
        joined.set(service, parts.length > 1 ? cache.get(joinEndpoints, list) : only);
      }
      return joined;
    },
  };
}

/**
 * An entry as it is meant where it was written: its address is one of that cluster's network, unless it says otherwise. Null for
 * a host name, which is that cluster's DNS to resolve, and for a socket, which would be one of the caller's own machine.
 */
function remoteEntry(entry: WorkloadEntry, { network, ranges }: Topology): WorkloadEntry | null {
  const { address = "", labels = {} } = entry.spec;
  if (address !== "" && ipVersion(address) === null) return null;
  const own = entry.spec.network ?? labels[NETWORK_LABEL] ?? networkByRange(address, ranges) ?? network;
  return { ...entry, spec: { ...entry.spec, network: own } };
}

/** Nodes of two clusters may have one name: none of another cluster is a caller's own. */
function withoutNodes({ endpoints, identities }: ServiceEndpoints): ServiceEndpoints {
  return { endpoints: endpoints.map((endpoint) => ({ ...endpoint, nodeName: "" })), identities };
}

/** Of one address in one network the first cluster's count. Networks may use the same addresses. */
export function joinEndpoints(parts: readonly ServiceEndpoints[]): ServiceEndpoints {
  const byPlace = new Map<string, readonly MeshEndpoint[]>();
  for (const { endpoints } of parts) {
    const addressed = endpoints.filter(({ address }) => address !== "");
    for (const [place, found] of Map.groupBy(addressed, ({ address, network }) => `${address} ${network}`)) {
      if (!byPlace.has(place)) byPlace.set(place, found);
    }
  }
  const places = [...byPlace].sort(([a], [b]) => compareText(a, b));
  const behindGateways = parts.flatMap(({ endpoints }) => endpoints.filter(({ address }) => address === ""));
  return {
    endpoints: [...behindGateways, ...places.flatMap(([, found]) => found)],
    identities: [...new Set(parts.flatMap(({ identities }) => identities))].sort(),
  };
}

function isSomething({ endpoints, identities }: ServiceEndpoints): boolean {
  return endpoints.length > 0 || identities.length > 0;
}

/**
 * Whether callers stay in their own cluster: what Kubernetes runs for itself does, unless the mesh config says otherwise
 * (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-ServiceSettings-Settings). The most
 * specific setting decides.
 */
function isClusterLocal(hostname: string, { clusterLocalHosts, domain }: MeshConfig): boolean {
  const kubernetes = [`*.kube-system.svc.${domain}`, `kubernetes.default.svc.${domain}`];
  const settings = [...clusterLocalHosts, ...kubernetes.map((host) => ({ host, isLocal: true }))];
  const matching = settings.filter(({ host }) => hostMatches(host, hostname));
  const [first, ...others] = matching;
  if (first === undefined) return false;
  return others.reduce((best, next) => (next.host.length > best.host.length ? next : best), first).isLocal;
}

import { append } from "../platform/append.ts";
import { ipVersion } from "../platform/ip-version.ts";
import type { WorkloadEntry, WorkloadEntrySpec } from "./istio/workload-entry.ts";
import type { EndpointSlice, Pod } from "./kubernetes/core.ts";
import { type Locality, NOWHERE, parseLocality, podLocality, type Topology } from "./locality.ts";
import { networkByRange } from "./mesh-networks.ts";
import type { MeshService } from "./mesh-service.ts";
import { NETWORK_LABEL } from "./network-gateways.ts";
import { compareText } from "./object.ts";
import { ownValue } from "./own-value.ts";

/** One pod or machine of a service, whatever port is asked for; several may have one address. */
export interface MeshEndpoint {
  /** An IP address, a host name, or a socket as `unix:///path`; empty where only its network's gateways lead to it. */
  readonly address: string;
  /** By the service's port name; those that are not listed have the service's target port. */
  readonly ports: Readonly<Record<string, number>>;
  /** Whether a port that is not in `ports` is the service's own. */
  readonly hasEveryPort: boolean;
  /** Unready ones are left out, except where the service publishes them; terminating ones still serve. */
  readonly health: "healthy" | "draining";
  readonly labels: Readonly<Record<string, string>>;
  /** `ns/NAMESPACE/sa/ACCOUNT` of the pod behind the address; undefined where no pod is known. */
  readonly identity: string | undefined;
  /** Whether a sidecar behind the address takes mutual TLS (`security.istio.io/tlsMode: istio`). */
  readonly tlsCapable: boolean;
  readonly namespace: string;
  readonly locality: Locality;
  readonly network: string;
  readonly cluster: string;
  readonly nodeName: string;
  /** Of a StatefulSet's pod, below the service's own. */
  readonly hostname: string;
  /** Zones whose callers it is meant for; empty for all. */
  readonly forZones: readonly string[];
  /** Its share beside others; 0 where none is said. */
  readonly weight: number;
}

export interface ServiceEndpoints {
  /** In order of address. */
  readonly endpoints: readonly MeshEndpoint[];
  /** Every identity that may answer for the service, ready or not; sorted. */
  readonly identities: readonly string[];
}

/**
 * The input of `buildServiceEndpoints`: each slice, followed by the pods of its endpoints in order; then the pods and
 * WorkloadEntries that the service selects by itself.
 */
export type EndpointSource = EndpointSlice | Pod | WorkloadEntry | undefined;

export function buildServiceEndpoints(
  sources: readonly EndpointSource[],
  service: MeshService,
  topology: Topology,
): ServiceEndpoints {
  const found: MeshEndpoint[] = service.inlineEndpoints.map((entry) =>
    workloadEndpoint(entry, service.namespace, topology),
  );
  const identities = new Set<string>();
  let at = 0;
  while (at < sources.length) {
    const source = sources[at++];
    if (source === undefined) throw new Error("a slice must come before the pods of its endpoints");
    if (source.kind === "WorkloadEntry") found.push(workloadEndpoint(source.spec, source.metadata.namespace, topology));
    else if (source.kind === "Pod") append(found, podEndpoint(source, topology));
    else {
      const pods = sources.slice(at, at + (source.endpoints ?? []).length);
      at += pods.length;
      append(found, sliceEndpoints(source, pods, service, topology, identities));
    }
  }
  for (const { identity } of found) if (identity !== undefined) identities.add(identity);
  return { endpoints: joined(found), identities: [...identities].sort() };
}

/** Adds every pod's identity to `identities`, also of those that are not ready. */
function sliceEndpoints(
  slice: EndpointSlice,
  pods: readonly EndpointSource[],
  service: MeshService,
  topology: Topology,
  identities: Set<string>,
): MeshEndpoint[] {
  const ports = Object.fromEntries((slice.ports ?? []).flatMap(({ name = "", port }) => (port ? [[name, port]] : [])));
  return (slice.endpoints ?? []).flatMap((endpoint, index): MeshEndpoint[] => {
    const pod = pods[index];
    if (pod !== undefined && pod.kind !== "Pod") throw new Error("an endpoint without its pod");
    const identity = pod && identityOf(pod);
    if (identity !== undefined) identities.add(identity);
    const health = healthOf(endpoint.conditions ?? {}, service.publishNotReadyAddresses);
    const [address] = endpoint.addresses;
    if (health === null || address === undefined || ipVersion(address) === null) return [];
    const labels = pod?.metadata.labels ?? {};
    return [
      {
        address,
        ports,
        hasEveryPort: false,
        health,
        labels,
        identity,
        tlsCapable: labels["security.istio.io/tlsMode"] === "istio",
        namespace: slice.metadata.namespace,
        locality: podLocality(labels, endpoint.nodeName, endpoint.zone, topology),
        network: networkOf(address, labels, topology),
        cluster: topology.cluster,
        nodeName: endpoint.nodeName ?? "",
        hostname: endpoint.hostname ?? "",
        forZones: (endpoint.hints?.forZones ?? []).map(({ name }) => name),
        weight: 0,
      },
    ];
  });
}

/** A pod that a ServiceEntry selects; none where it is not ready. */
function podEndpoint(pod: Pod, topology: Topology): MeshEndpoint[] {
  const { labels, namespace, deletionTimestamp } = pod.metadata;
  const { podIP, phase, conditions = [] } = pod.status ?? {};
  const isReady = conditions.every(({ type, status }) => type !== "Ready" || status === "True");
  if (podIP === undefined || ipVersion(podIP) === null || phase === "Succeeded" || phase === "Failed" || !isReady)
    return [];
  return [
    {
      address: podIP,
      ports: {},
      hasEveryPort: true,
      health: deletionTimestamp === undefined ? "healthy" : "draining",
      labels,
      identity: identityOf(pod),
      tlsCapable: labels["security.istio.io/tlsMode"] === "istio",
      namespace,
      locality: podLocality(labels, pod.spec.nodeName, undefined, topology),
      network: networkOf(podIP, labels, topology),
      cluster: topology.cluster,
      nodeName: pod.spec.nodeName ?? "",
      hostname: "",
      forZones: [],
      weight: 0,
    },
  ];
}

/** With an account it has a certificate of the mesh, and so takes mutual TLS unless its label says otherwise. */
function workloadEndpoint(entry: WorkloadEntrySpec, namespace: string, topology: Topology): MeshEndpoint {
  const { address = "", labels = {}, serviceAccount = "", weight = 0 } = entry;
  const tlsMode = labels["security.istio.io/tlsMode"] ?? (serviceAccount === "" ? "disabled" : "istio");
  return {
    address,
    ports: entry.ports ?? {},
    hasEveryPort: true,
    health: "healthy",
    labels,
    identity: serviceAccount === "" ? undefined : `ns/${namespace}/sa/${serviceAccount}`,
    tlsCapable: tlsMode === "istio",
    namespace,
    locality: entry.locality === undefined ? NOWHERE : parseLocality(entry.locality),
    network: entry.network ?? labels[NETWORK_LABEL] ?? networkByRange(address, topology.ranges) ?? "",
    cluster: topology.cluster,
    nodeName: "",
    hostname: "",
    forZones: [],
    weight,
  };
}

function networkOf(address: string, labels: MeshEndpoint["labels"], { network, ranges }: Topology): string {
  return labels[NETWORK_LABEL] ?? networkByRange(address, ranges) ?? network;
}

function identityOf({ metadata, spec }: Pod): string {
  return `ns/${metadata.namespace}/sa/${spec.serviceAccountName || "default"}`;
}

/**
 * Slices may each have some of an address's ports; who has another number for the same port is somebody else there, as pods in
 * their node's network are. Those behind a network's gateway need no address to be told apart.
 */
function joined(found: readonly MeshEndpoint[]): MeshEndpoint[] {
  const byPlace = new Map<string, MeshEndpoint>();
  for (const endpoint of found.filter(({ address }) => address !== "")) {
    const first = byPlace.get(endpoint.address);
    const isApart = first !== undefined && !mayBeOne(first, endpoint);
    const place = isApart ? `${endpoint.address} ${portsText(endpoint)}` : endpoint.address;
    const known = byPlace.get(place);
    byPlace.set(place, known === undefined ? endpoint : { ...endpoint, ports: { ...known.ports, ...endpoint.ports } });
  }
  const behindGateways = found.filter(({ address }) => address === "");
  return [...behindGateways, ...[...byPlace.values()].sort((a, b) => compareText(a.address, b.address))];
}

/** Of two endpoints at one address. */
function mayBeOne(a: MeshEndpoint, b: MeshEndpoint): boolean {
  // What such an endpoint does not list it has as well, at another port than one that lists it.
  if (a.hasEveryPort || b.hasEveryPort) return portsText(a) === portsText(b);
  return Object.entries(a.ports).every(([name, port]) => (ownValue(b.ports, name) ?? port) === port);
}

function portsText({ ports }: MeshEndpoint): string {
  return JSON.stringify(Object.entries(ports).sort(([a], [b]) => compareText(a, b)));
}

/** https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions: an unknown `ready` is ready. */
function healthOf(
  conditions: { ready?: boolean | null; serving?: boolean | null; terminating?: boolean | null },
  publishNotReady: boolean,
): MeshEndpoint["health"] | null {
  if (conditions.terminating === true) return (conditions.serving ?? false) ? "draining" : null;
  return (conditions.ready ?? true) || publishNotReady ? "healthy" : null;
}

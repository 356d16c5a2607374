import { ipVersion } from "../platform/ip-version.ts";
import type { WorkloadEntrySpec } from "./istio/workload-entry.ts";
import type { Service, ServicePort } from "./kubernetes/core.ts";
import type { ObjectMeta } from "./object.ts";
import { type Database, declaredDatabase, type Protocol, portProtocol } from "./port-protocol.ts";
import { type TrafficDistribution, trafficDistribution } from "./traffic-distribution.ts";

export interface MeshPort {
  readonly number: number;
  /** The name in the Service; empty where it has only one port. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly targetPort: number | string;
  /** What the port declares itself to be, where Envoy could look into it. */
  readonly database?: Database;
}

/** How the addresses behind a service are found. */
export type Resolution =
  /** Known to the mesh. */
  | "endpoints"
  /** The one that the caller dialled. */
  | "passthrough"
  /** By DNS, all addresses of a name at once. */
  | "dns"
  /** By DNS, a new address of a name for each new connection. */
  | "dns-round-robin"
  /** By DNS, of the host that the caller names. */
  | "dynamic-dns";

/** A Service, or one host of a ServiceEntry, as the mesh sees it: under its full host name, with protocols told. */
export interface MeshService {
  readonly kind: "Service" | "ServiceEntry";
  /** `reviews.bookstore.svc.cluster.local`; a ServiceEntry's may be a wildcard. */
  readonly hostname: string;
  /** Of the object. */
  readonly name: string;
  readonly namespace: string;
  /** Virtual addresses and CIDR blocks; none for a headless service. */
  readonly addresses: readonly string[];
  /** Made up for a ServiceEntry without addresses: they mean it to callers who learned them from their sidecar's DNS. */
  readonly autoAddresses: readonly string[];
  readonly ports: readonly MeshPort[];
  /** Of the pods and WorkloadEntries in its namespace that are its endpoints. */
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** A ServiceEntry's own. */
  readonly inlineEndpoints: readonly WorkloadEntrySpec[];
  readonly resolution: Resolution;
  /** Callers dial the addresses of its endpoints, each of them for itself. */
  readonly isHeadless: boolean;
  /** Outside of the mesh: nobody there speaks its mutual TLS. */
  readonly isExternal: boolean;
  /** Whom to expect behind it beside the endpoints' own identities, as a certificate names them. */
  readonly subjectAltNames: readonly string[];
  readonly publishNotReadyAddresses: boolean;
  /** Callers reach only endpoints on their own node. */
  readonly isNodeLocal: boolean;
  readonly trafficDistribution: TrafficDistribution | undefined;
  /** All that one caller sends goes to one endpoint. */
  readonly isSticky: boolean;
  /** From `networking.istio.io/exportTo` or the ServiceEntry; undefined is everywhere. */
  readonly exportTo: readonly string[] | undefined;
  /** What this is only a further name of, with that one's ports and endpoints; else null. */
  readonly standsFor: MeshService | null;
}

/**
 * Null for a Service that is only another name (ExternalName) without ports: nothing can be sent to it. Such a name is
 * outside of the mesh here: `withFurtherNames` knows better. `namespaceSays` is how its namespace would have traffic
 * distributed.
 */
export function buildMeshService(service: Service, domain: string, namespaceSays: string = ""): MeshService | null {
  const { name, namespace } = service.metadata;
  const { spec } = service;
  const isAlias = spec.type === "ExternalName";
  const target = spec.externalName?.toLowerCase() ?? "";
  if (isAlias && ((spec.ports ?? []).length === 0 || !/^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$/.test(target))) return null;
  const clusterIps = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  const addresses = isAlias ? [] : [...clusterIps, ...(spec.externalIPs ?? [])].filter((ip) => ipVersion(ip) !== null);
  return {
    kind: "Service",
    hostname: `${name}.${namespace}.svc.${domain}`,
    name,
    namespace,
    addresses: [...new Set(addresses)],
    autoAddresses: [],
    ports: tcpPorts(spec).slice(0, MOST_PORTS).map(meshPort),
    selector: isAlias ? undefined : spec.selector,
    inlineEndpoints: isAlias ? [{ address: target }] : [],
    resolution: isAlias ? "dns" : "endpoints",
    isHeadless: !isAlias && clusterIps.includes("None"),
    isExternal: isAlias,
    subjectAltNames: [],
    publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    isNodeLocal: spec.internalTrafficPolicy === "Local",
    trafficDistribution: trafficDistribution(service.metadata, namespaceSays, spec.trafficDistribution),
    isSticky: spec.sessionAffinity === "ClientIP",
    exportTo: exportOf(service.metadata),
    standsFor: null,
  };
}

/** Of one Service: each is a cluster and often a listener, at every proxy. */
export const MOST_PORTS = 1000;

/** Those that the mesh has a part in. */
export function tcpPorts({ ports = [] }: Service["spec"]): readonly ServicePort[] {
  return ports.filter((port) => (port.protocol ?? "TCP") === "TCP");
}

export function exportOf({ annotations }: ObjectMeta): readonly string[] | undefined {
  return annotations["networking.istio.io/exportTo"]
    ?.split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

function meshPort(port: ServicePort): MeshPort {
  return {
    number: port.port,
    name: port.name ?? "",
    protocol: portProtocol({ number: port.port, name: port.name, appProtocol: port.appProtocol }),
    targetPort: port.targetPort ?? port.port,
    ...declaredDatabase(port),
  };
}

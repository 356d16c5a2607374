import { ipVersion } from "../platform/ip-version.ts";
import type { Service, ServicePort } from "./kubernetes/core.ts";
import { ownValue } from "./own-value.ts";

/** How Envoy must read the bytes of a port. */
export type Protocol = "http" | "http2" | "tcp";

export interface MeshPort {
  readonly number: number;
  /** The name in the Service; empty where it has only one port. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly targetPort: number | string;
}

/** A Service as the mesh sees it: under its full host name, with protocols told. */
export interface MeshService {
  /** `reviews.bookstore.svc.cluster.local`. */
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
  /** Virtual addresses; none for a headless service. */
  readonly addresses: readonly string[];
  readonly ports: readonly MeshPort[];
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly publishNotReadyAddresses: boolean;
  /** From `networking.istio.io/exportTo`; undefined is everywhere. */
  readonly exportTo: readonly string[] | undefined;
}

/** Null where the Service is only a DNS alias (ExternalName), which has nothing to route to. */
export function buildMeshService(service: Service, domain: string): MeshService | null {
  const { name, namespace, annotations } = service.metadata;
  const { spec } = service;
  if (spec.type === "ExternalName") return null;
  const clusterIps = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  return {
    hostname: `${name}.${namespace}.svc.${domain}`,
    name,
    namespace,
    addresses: clusterIps.filter((ip) => ipVersion(ip) !== null),
    ports: (spec.ports ?? []).filter((port) => (port.protocol ?? "TCP") === "TCP").map(meshPort),
    selector: spec.selector,
    publishNotReadyAddresses: spec.publishNotReadyAddresses ?? false,
    exportTo: annotations["networking.istio.io/exportTo"]
      ?.split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ""),
  };
}

function meshPort(port: ServicePort): MeshPort {
  return {
    number: port.port,
    name: port.name ?? "",
    protocol: protocolOf(port),
    targetPort: port.targetPort ?? port.port,
  };
}

/** What a port may declare, and how the mesh reads it: all that is not HTTP is TCP. */
const PROTOCOLS: Readonly<Record<string, Protocol>> = {
  http: "http",
  "http-web": "http",
  http2: "http2",
  grpc: "http2",
  "grpc-web": "http",
  "kubernetes.io/h2c": "http2",
  "kubernetes.io/ws": "http",
  "kubernetes.io/wss": "tcp",
  https: "tcp",
  mongo: "tcp",
  mysql: "tcp",
  postgres: "tcp",
  redis: "tcp",
  tcp: "tcp",
  tls: "tcp",
};

function protocolOf(port: ServicePort): Protocol {
  return declaredProtocol(port) ?? "tcp";
}

/**
 * `appProtocol` first, then the port name's part before the first dash, as
 * https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/ has it. Undefined for a port
 * that declares nothing the mesh knows, which is taken as TCP.
 */
export function declaredProtocol({ name = "", appProtocol }: ServicePort): Protocol | undefined {
  if (appProtocol !== undefined) return ownValue(PROTOCOLS, appProtocol.toLowerCase());
  const [first = ""] = name.toLowerCase().split("-");
  return name.toLowerCase().startsWith("grpc-web") ? "http" : ownValue(PROTOCOLS, first);
}

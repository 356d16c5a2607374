import type { MeshPort } from "../mesh/mesh-service.ts";

/** Istio's names of Envoy resources, which its users and their dashboards know. */

/** `outbound|80|v1|reviews.bookstore.svc.cluster.local`. */
export function outboundClusterName(hostname: string, port: number, subset = ""): string {
  return `outbound|${port}|${subset}|${hostname}`;
}

export function inboundClusterName(port: number): string {
  return `inbound|${port}||`;
}

/** `outbound_.80_.v1_.reviews.bookstore.svc.cluster.local`: a cluster's name as TLS server name. */
export function outboundSni(hostname: string, port: number, subset = ""): string {
  return `outbound_.${port}_.${subset}_.${hostname}`;
}

export const PASSTHROUGH_CLUSTER = "PassthroughCluster";
export const BLACKHOLE_CLUSTER = "BlackHoleCluster";
export const INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster";

export const OUTBOUND_CAPTURE_PORT = 15001;
export const INBOUND_CAPTURE_PORT = 15006;
/** Where a sidecar itself listens on every address: the two above, its health and its metrics. */
export const OWN_PORTS: ReadonlySet<number> = new Set([OUTBOUND_CAPTURE_PORT, INBOUND_CAPTURE_PORT, 15021, 15090]);

/** What a sidecar offers in TLS to say that it speaks the mesh's mutual TLS, not the application's own. */
export const MESH_ALPN = "istio";

export function isHttp(port: Pick<MeshPort, "protocol">): boolean {
  return port.protocol !== "tcp";
}

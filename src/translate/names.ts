import type { MeshPort } from "../mesh/mesh-service.ts";
import { speaksHttp } from "../mesh/port-protocol.ts";

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

/** All HTTP services on one port share a route table: the Host header tells them apart. */
export function routeConfigurationName(port: number): string {
  return String(port);
}

export const PASSTHROUGH_CLUSTER = "PassthroughCluster";
export const BLACKHOLE_CLUSTER = "BlackHoleCluster";
export const INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster";

export const OUTBOUND_CAPTURE_PORT = 15001;
export const INBOUND_CAPTURE_PORT = 15006;

export const HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";
/** HTTP filters that do something only where a route says what. */
export const FAULT_FILTER = "envoy.filters.http.fault";
export const CORS_FILTER = "envoy.filters.http.cors";

/** Of an answer: the sidecar that gave it could not hand the request to its application. */
export const UNREACHED_HEADER = "x-trysail-unreached";

/** What a sidecar offers in TLS to say that it speaks the mesh's mutual TLS, not the application's own. */
export const MESH_ALPN = "istio";
/** What it offers before that where the bytes inside are HTTP, for ports that could carry anything. Istio's own names. */
export const MESH_HTTP_ALPN = "istio-http/1.1";
export const MESH_HTTP2_ALPN = "istio-h2";
export const MESH_HTTP_ALPNS: readonly string[] = ["istio-http/1.0", MESH_HTTP_ALPN, MESH_HTTP2_ALPN];

export function isHttp(port: Pick<MeshPort, "protocol">): boolean {
  return speaksHttp(port.protocol);
}

import type { JsonObject } from "@bufbuild/protobuf";
import { isRecord } from "../../mesh/conform.ts";
import { FORWARDED } from "../proxy-http.ts";

/**
 * What stands between a gateway and its callers, as the proxy's ProxyConfig says (`gatewayTopology`):
 * https://istio.io/latest/docs/ops/configuration/traffic-management/network-topologies/
 */
export interface GatewayTopology {
  /** Proxies that add themselves to `x-forwarded-for` and are believed. */
  readonly trustedProxies: number;
  /** What callers say of their own certificates is replaced, unless the mesh trusts who passes it on. */
  readonly forwardedClientCert: (typeof FORWARDED)[number];
  /** A balancer in front says who called before anything else. */
  readonly speaksProxyProtocol: boolean;
}

/** As a text, so that it can be part of a builder's input. The node is the proxy's own word: what cannot be read changes nothing. */
export function readGatewayTopology(metadata: JsonObject = {}): string {
  const config = isRecord(metadata.PROXY_CONFIG) ? metadata.PROXY_CONFIG : {};
  const written = isRecord(config.gatewayTopology) ? config.gatewayTopology : {};
  const { numTrustedProxies, forwardClientCertDetails, proxyProtocol } = written;
  const topology: GatewayTopology = {
    trustedProxies: Number.isSafeInteger(numTrustedProxies) ? Math.min(Math.max(Number(numTrustedProxies), 0), 255) : 0,
    forwardedClientCert: FORWARDED.find((known) => known === forwardClientCertDetails) ?? "SANITIZE_SET",
    speaksProxyProtocol: isRecord(proxyProtocol),
  };
  return JSON.stringify(topology);
}

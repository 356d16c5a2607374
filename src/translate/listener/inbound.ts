import { create } from "@bufbuild/protobuf";
import { TrafficDirection, TransportSocketSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
import {
  type Filter,
  type FilterChain,
  FilterChainMatchSchema,
  FilterChainSchema,
} from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.ts";
import { OriginalDstSchema } from "../../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts";
import { OriginalSrcSchema } from "../../gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.ts";
import { TlsInspectorSchema } from "../../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import type { AuthorizationPolicy } from "../../mesh/istio/authorization-policy.ts";
import type { PeerAuthentication } from "../../mesh/istio/peer-authentication.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { Protocol } from "../../mesh/mesh-service.ts";
import { buildMutualTlsModes, type MutualTlsMode } from "../../mesh/peer-authentication-mode.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { address } from "../address.ts";
import { encodeResource } from "../encode.ts";
import { buildAuthorization } from "../filters/authorization.ts";
import type { Interception } from "../interception.ts";
import {
  BLACKHOLE_CLUSTER,
  INBOUND_CAPTURE_PORT,
  INBOUND_PASSTHROUGH_CLUSTER,
  inboundClusterName,
  MESH_ALPN,
} from "../names.ts";
import { buildDefaultRoute } from "../route/http-route.ts";
import { downstreamMutualTls } from "../tls-context.ts";
import { durationOfMs, typedConfig } from "../typed-config.ts";
import type { Workload } from "../workload.ts";
import { httpConnectionManager, tcpProxy } from "./network-filters.ts";

/** A port of the workload that some Service leads to. */
export interface InboundPort {
  readonly port: number;
  readonly protocol: Protocol;
}

/**
 * Where the interception rules bring every inbound connection. Each port has filter chains of its own; what no
 * Service leads to is passed on as TCP, under the same policies.
 */
export function buildVirtualInbound(
  workload: Workload,
  ports: readonly InboundPort[],
  peerAuthentications: readonly PeerAuthentication[],
  authorizationPolicies: readonly AuthorizationPolicy[],
  config: MeshConfig,
  interception: Interception,
): EncodedResource {
  const modes = buildMutualTlsModes(peerAuthentications, workload.labels, workload.namespace);
  const authorization = buildAuthorization(authorizationPolicies, workload, config);
  const served = new Set(ports.map(({ port }) => port));
  const named: readonly (InboundPort & { cluster: string })[] = [
    ...ports.map((port) => ({ ...port, cluster: inboundClusterName(port.port) })),
    ...Object.keys(modes.byPort)
      .map(Number)
      .filter((port) => !served.has(port))
      .map((port) => ({ port, protocol: "tcp" as const, cluster: INBOUND_PASSTHROUGH_CLUSTER })),
  ].filter(({ port }) => port !== INBOUND_CAPTURE_PORT);
  const chains = named.flatMap(({ port, protocol, cluster }) => {
    const filters =
      protocol === "tcp"
        ? [...authorization.network, tcpProxy(cluster)]
        : [httpConnectionManager("inbound", `inbound_0.0.0.0_${port}`, inlineRoute(cluster), authorization.http)];
    return filterChains(String(port), modes.byPort[port] ?? modes.mode, port, protocol, filters, config);
  });
  const rest = [...authorization.network, tcpProxy(INBOUND_PASSTHROUGH_CLUSTER)];
  return encodeResource(ListenerSchema, {
    name: "virtualInbound",
    address: address("0.0.0.0", INBOUND_CAPTURE_PORT),
    ...(interception.hasIpv6 ? { additionalAddresses: [{ address: address("::", INBOUND_CAPTURE_PORT) }] } : {}),
    ...(interception.isTransparent ? { transparent: true } : {}),
    trafficDirection: TrafficDirection.INBOUND,
    listenerFilters: [
      { name: "envoy.filters.listener.original_dst", configType: originalDst },
      ...(interception.isTransparent ? [{ name: "envoy.filters.listener.original_src", configType: originalSrc }] : []),
      { name: "envoy.filters.listener.tls_inspector", configType: tlsInspector },
    ],
    // A caller whose protocol lets the server speak first sends nothing to inspect.
    listenerFiltersTimeout: durationOfMs(5000),
    continueOnListenerFiltersTimeout: true,
    filterChains: [
      create(FilterChainSchema, {
        name: "virtualInbound-blackhole",
        filterChainMatch: { destinationPort: INBOUND_CAPTURE_PORT },
        filters: [tcpProxy(BLACKHOLE_CLUSTER)],
      }),
      ...chains,
      ...filterChains("virtualInbound-catchall", modes.mode, undefined, "tcp", rest, config),
    ],
  });
}

const originalDst = { case: "typedConfig" as const, value: typedConfig(OriginalDstSchema, {}) };
/** Calls the app in the caller's name; by the mark, the app's answers find their way back (src/init/interception.ts). */
const originalSrc = { case: "typedConfig" as const, value: typedConfig(OriginalSrcSchema, { mark: 1337 }) };
const tlsInspector = { case: "typedConfig" as const, value: typedConfig(TlsInspectorSchema, {}) };

/** Mutual TLS, plaintext, or both told apart by what the caller offers; a connection that fits no chain is closed. */
function filterChains(
  name: string,
  mode: MutualTlsMode,
  destinationPort: number | undefined,
  protocol: Protocol,
  filters: Filter[],
  config: MeshConfig,
): FilterChain[] {
  const match = (transportProtocol: string, applicationProtocols: string[] = []) =>
    create(FilterChainMatchSchema, { destinationPort, transportProtocol, applicationProtocols });
  const alpn = protocol === "tcp" ? [MESH_ALPN] : ["h2", "http/1.1"];
  const mutualTls = create(FilterChainSchema, {
    name: `${name}-mtls`,
    // Under PERMISSIVE, TLS without the mesh's mark is the application's own.
    filterChainMatch: match("tls", mode === "PERMISSIVE" ? [MESH_ALPN] : []),
    transportSocket: create(TransportSocketSchema, {
      name: "envoy.transport_sockets.tls",
      configType: { case: "typedConfig", value: downstreamMutualTls(config.trustDomain, alpn) },
    }),
    filters,
  });
  const plaintext = (suffix: string, transportProtocol: string) =>
    create(FilterChainSchema, { name: `${name}-${suffix}`, filterChainMatch: match(transportProtocol), filters });
  switch (mode) {
    case "STRICT":
      return [mutualTls];
    case "DISABLE":
      return [plaintext("plaintext", "")];
    case "PERMISSIVE":
      return protocol === "tcp"
        ? [mutualTls, plaintext("tls-passthrough", "tls"), plaintext("plaintext", "raw_buffer")]
        : [mutualTls, plaintext("plaintext", "raw_buffer")];
  }
}

function inlineRoute(cluster: string) {
  const route = create(RouteConfigurationSchema, {
    name: cluster,
    validateClusters: false,
    virtualHosts: [{ name: "inbound|http", domains: ["*"], routes: [inboundRoute(cluster)] }],
  });
  return { case: "routeConfig" as const, value: route };
}

/** The caller's sidecar has retried already. */
function inboundRoute(cluster: string) {
  const route = buildDefaultRoute(cluster);
  if (route.action.case === "route") route.action.value.retryPolicy = undefined;
  return route;
}

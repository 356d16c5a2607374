import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TransportSocketSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
import {
  type Filter,
  type FilterChain,
  type FilterChainMatchSchema,
  FilterChainSchema,
} from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { RetryPolicySchema } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MutualTlsMode } from "../../mesh/peer-authentication-mode.ts";
import { isDeclaredHttp, type Protocol } from "../../mesh/port-protocol.ts";
import type { Authorization } from "../filters/authorization.ts";
import type { RateLimits } from "../filters/rate-limit.ts";
import type { InboundPort } from "../inbound-port.ts";
import { inboundClusterName, MESH_ALPN, MESH_HTTP_ALPNS } from "../names.ts";
import { shapedBy } from "../provenance.ts";
import { buildDefaultRoute } from "../route/http-route.ts";
import { downstreamMutualTls } from "../tls-context.ts";
import { grpcWeb } from "./grpc-web.ts";
import { HTTP_BY_INSPECTION } from "./inspectors.ts";
import { httpConnectionManager, tcpProxy } from "./network-filters.ts";
import { unreachedReplies } from "./unreached-replies.ts";

/** What stands in front of a port. */
export interface PortGuards {
  readonly authorization: Authorization;
  readonly limits: RateLimits;
}

/** What a port asks of its callers, and the paths of the PeerAuthentications that say so. */
export interface PortTls {
  readonly mode: MutualTlsMode;
  readonly policies: readonly string[];
}

/** How one port is reached; `destinationPort` is undefined where nothing else comes by the listener. */
export function portChains(
  { port, protocol, sidecar }: InboundPort,
  destinationPort: number | undefined,
  { mode, policies }: PortTls,
  { authorization, limits }: PortGuards,
  config: MeshConfig,
): FilterChain[] {
  const cluster = inboundClusterName(port);
  const place = { name: String(port), port: destinationPort, shapers: [...policies, sidecar] };
  const tcp = () => [...limits.network, ...authorization.network, tcpProxy(cluster)];
  const http = () => [
    ...limits.network,
    httpConnectionManager({
      direction: "inbound",
      statPrefix: `inbound_0.0.0.0_${port}`,
      routeSpecifier: inlineRoute(cluster, protocol),
      filters: [...authorization.http, ...limits.http, ...(protocol === "grpc-web" ? [grpcWeb] : [])],
      settings: { localReplyConfig: unreachedReplies },
      config,
    }),
  ];
  if (isDeclaredHttp(protocol)) return httpChains(place, mode, http(), config);
  if (protocol === "auto") return detectedChains(place, mode, { http: http(), tcp: tcp() }, config);
  return tcpChains(place, mode, tcp(), config);
}

interface ChainPlace {
  readonly name: string;
  /** Undefined for every port that has no chain of its own. */
  readonly port?: number | undefined;
  /** The paths of the objects by which it is reached as it is. */
  readonly shapers: readonly (string | null)[];
}

/** Mutual TLS, plaintext, or both told apart by what the caller offers; a connection that fits no chain is closed. */
function httpChains(place: ChainPlace, mode: MutualTlsMode, filters: Filter[], config: MeshConfig): FilterChain[] {
  // Under PERMISSIVE, TLS without the mesh's mark is the application's own.
  const tls = () => mutualTls(place, "mtls", mode === "PERMISSIVE" ? [MESH_ALPN] : [], HTTP_ALPN, filters, config);
  switch (mode) {
    case "STRICT":
      return [tls()];
    case "DISABLE":
      return [plaintext(place, "plaintext", {}, filters)];
    case "PERMISSIVE":
      return [tls(), plaintext(place, "plaintext", { transportProtocol: "raw_buffer" }, filters)];
  }
}

/** The same for what carries no requests, with the application's own TLS beside the mesh's. */
export function tcpChains(
  place: ChainPlace,
  mode: MutualTlsMode,
  filters: Filter[],
  config: MeshConfig,
): FilterChain[] {
  const tls = () => mutualTls(place, "mtls", mode === "PERMISSIVE" ? [MESH_ALPN] : [], [MESH_ALPN], filters, config);
  switch (mode) {
    case "STRICT":
      return [tls()];
    case "DISABLE":
      return [plaintext(place, "plaintext", {}, filters)];
    case "PERMISSIVE":
      return [
        tls(),
        plaintext(place, "tls-passthrough", { transportProtocol: "tls" }, filters),
        plaintext(place, "plaintext", { transportProtocol: "raw_buffer" }, filters),
      ];
  }
}

/**
 * For a port whose protocol is not declared. Inside of mutual TLS the caller's sidecar says by what it offers whether the
 * bytes are HTTP; outside, the bytes themselves do.
 */
function detectedChains(
  place: ChainPlace,
  mode: MutualTlsMode,
  { http, tcp }: { readonly http: Filter[]; readonly tcp: Filter[] },
  config: MeshConfig,
): FilterChain[] {
  const httpTls = () => mutualTls(place, "mtls-http", [...MESH_HTTP_ALPNS], HTTP_ALPN, http, config);
  const httpPlain = (match: FilterChainMatchInit) =>
    plaintext(place, "plaintext-http", { ...match, applicationProtocols: HTTP_BY_INSPECTION }, http);
  switch (mode) {
    case "STRICT":
      return [httpTls(), ...tcpChains(place, mode, tcp, config)];
    case "DISABLE":
      return [httpPlain({}), ...tcpChains(place, mode, tcp, config)];
    case "PERMISSIVE":
      return [httpTls(), httpPlain({ transportProtocol: "raw_buffer" }), ...tcpChains(place, mode, tcp, config)];
  }
}

/** What of HTTP a sidecar agrees to; with none in common, it looks at the bytes. */
const HTTP_ALPN = ["h2", "http/1.1"];

type FilterChainMatchInit = Pick<
  MessageInitShape<typeof FilterChainMatchSchema>,
  "transportProtocol" | "applicationProtocols"
>;

function mutualTls(
  { name, port, shapers }: ChainPlace,
  suffix: string,
  applicationProtocols: string[],
  alpn: string[],
  filters: Filter[],
  config: MeshConfig,
): FilterChain {
  return create(FilterChainSchema, {
    name: `${name}-${suffix}`,
    ...shapedBy(shapers),
    filterChainMatch: { destinationPort: port, transportProtocol: "tls", applicationProtocols },
    transportSocket: create(TransportSocketSchema, {
      name: "envoy.transport_sockets.tls",
      configType: {
        case: "typedConfig",
        value: downstreamMutualTls(knownTrustDomains(config), alpn),
      },
    }),
    filters,
  });
}

/** Which root each of them must come from is said by the secret `ROOTCA`. */
function knownTrustDomains({ trustDomain, trustDomainAliases, foreignAuthorities }: MeshConfig): string[] {
  const foreign = foreignAuthorities.flatMap(({ trustDomains }) => trustDomains);
  return [trustDomain, ...trustDomainAliases, ...[...new Set(foreign)].sort()];
}

function plaintext(
  { name, port, shapers }: ChainPlace,
  suffix: string,
  match: FilterChainMatchInit,
  filters: Filter[],
): FilterChain {
  return create(FilterChainSchema, {
    name: `${name}-${suffix}`,
    ...shapedBy(shapers),
    filterChainMatch: { destinationPort: port, ...match },
    filters,
  });
}

function inlineRoute(cluster: string, protocol: Protocol) {
  const route = create(RouteConfigurationSchema, {
    name: cluster,
    validateClusters: false,
    virtualHosts: [{ name: "inbound|http", domains: ["*"], routes: [inboundRoute(cluster, protocol)] }],
  });
  return { case: "routeConfig" as const, value: route };
}

/**
 * The caller's sidecar does the retrying, but for what never reached the application: one that closes idle connections
 * may close the very one that a request is about to take. As in Istio, calls of gRPC are left alone.
 */
function inboundRoute(cluster: string, protocol: Protocol) {
  const route = buildDefaultRoute(cluster, null);
  if (route.action.case !== "route") return route;
  const mayBeGrpc = protocol === "http2" || protocol === "grpc-web";
  route.action.value.retryPolicy = mayBeGrpc ? undefined : unreached;
  return route;
}

const unreached = create(RetryPolicySchema, { retryOn: "reset-before-request", numRetries: 2 });

import { create, type JsonObject } from "@bufbuild/protobuf";
import { MetadataSchema, TrafficDirection } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { type FilterChain, FilterChainSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { address, endpointAddress } from "../address.ts";
import { encodeResource } from "../encode.ts";
import { ADDRESS_KEY } from "../endpoint/assignment.ts";
import { BLACKHOLE_CLUSTER, OUTBOUND_CAPTURE_PORT } from "../names.ts";
import type { OutboundPolicy } from "../outbound-policy.ts";
import { provenance } from "../provenance.ts";
import { buildDefaultRoute } from "../route/http-route.ts";
import { adsSource } from "../tls-context.ts";
import { durationOfMs, parseDurationMs } from "../typed-config.ts";
import { dialledAddress } from "./dialled-address.ts";
import { dynamicForwardProxy } from "./dynamic-forward-proxy.ts";
import { grpcWeb } from "./grpc-web.ts";
import { HTTP_BY_INSPECTION, httpInspector, tlsInspector } from "./inspectors.ts";
import { withNarrowerRanges } from "./narrower-ranges.ts";
import { httpConnectionManager, tcpProxy } from "./network-filters.ts";
import { buildTcpFilterChain, type TcpChain } from "./tcp-chain.ts";

/**
 * Where the interception rules bring every outbound connection. It is handed to the listener of the address that the
 * application dialled; one that no listener is for goes on to it, or nowhere, as the policy says.
 */
export function buildVirtualOutbound(policy: OutboundPolicy): EncodedResource {
  return buildCapture("virtualOutbound", "0.0.0.0", policy);
}

/** The same for IPv6, in pods that have it. */
export function buildVirtualOutboundIpv6(policy: OutboundPolicy): EncodedResource {
  return buildCapture("virtualOutbound-ipv6", "::", policy);
}

function buildCapture(name: string, ip: string, { cluster }: OutboundPolicy): EncodedResource {
  return encodeResource(ListenerSchema, {
    name,
    address: address(ip, OUTBOUND_CAPTURE_PORT),
    useOriginalDst: true,
    trafficDirection: TrafficDirection.OUTBOUND,
    filterChains: [
      {
        // A connection dialled to the listener itself would be passed on to itself, forever.
        name: "virtualOutbound-blackhole",
        filterChainMatch: { destinationPort: OUTBOUND_CAPTURE_PORT },
        filters: [tcpProxy(BLACKHOLE_CLUSTER)],
      },
      { name: "virtualOutbound-catchall-tcp", filters: [tcpProxy(cluster)] },
    ],
  });
}

/** An address that the application dials, or a socket of the sidecar's own. */
export interface ListenerPlace {
  /** `0.0.0.0_80`, `10.96.0.1_3306`. */
  readonly name: string;
  /** An IP address, or `unix:///path`. */
  readonly ip: string;
  /** The same in the other family; empty for none. */
  readonly otherIp: string;
  readonly port: number;
  /** The application dials the sidecar itself, instead of being intercepted. */
  readonly bindToPort: boolean;
  /** The path of the Sidecar that asks for it; null where services do. */
  readonly sidecar: string | null;
}

/** How requests at a place find their route. */
export type HttpRouting =
  | {
      readonly kind: "table";
      readonly name: string;
      readonly forwardsByHost: boolean;
      readonly takesGrpcWeb: boolean;
      /** Some service at the place is headless. */
      readonly asksWhoWasDialled: boolean;
    }
  /** To the endpoint that was dialled. */
  | { readonly kind: "endpoint"; readonly cluster: string; readonly address: string };

/**
 * Everything that is reached at one place: requests by their routes, other connections by their chains. Of the chains
 * that match anything the first counts.
 */
export function buildOutboundListener(
  place: ListenerPlace,
  http: HttpRouting | null,
  config: MeshConfig,
  policy: OutboundPolicy,
  ...chains: readonly TcpChain[]
): EncodedResource {
  // What else may be dialled there is not the mesh's.
  const isShared = place.ip === "0.0.0.0";
  const matching = chains.filter(({ serverNames, ranges }) => serverNames.length + ranges.length > 0);
  const otherwise = chains.find((chain) => !matching.includes(chain));
  const last: FilterChain | undefined =
    otherwise !== undefined
      ? buildTcpFilterChain(otherwise, config)
      : isShared
        ? create(FilterChainSchema, { name: "PassthroughFilterChain", filters: [tcpProxy(policy.cluster)] })
        : undefined;
  const needsTls = matching.some(({ serverNames }) => serverNames.length > 0);
  const needsHttp = http !== null && (last !== undefined || matching.length > 0);
  const { name, ip, otherIp, port, bindToPort, sidecar } = place;
  return encodeResource(ListenerSchema, {
    name,
    address: endpointAddress(ip, port),
    ...(otherIp === "" ? {} : { additionalAddresses: [{ address: address(otherIp, port) }] }),
    ...(bindToPort ? {} : { bindToPort: false }),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [...(needsTls ? [tlsInspector] : []), ...(needsHttp ? [httpInspector] : [])],
    ...(needsTls || needsHttp ? detection(config) : {}),
    filterChains: [
      ...withNarrowerRanges(matching).map((chain) => buildTcpFilterChain(chain, config)),
      ...(http === null ? [] : [httpChain(http, place, needsHttp, config)]),
      ...(http === null && matching.length === 0 && last !== undefined ? [last] : []),
    ],
    ...(last === undefined || (http === null && matching.length === 0) ? {} : { defaultFilterChain: last }),
    metadata: provenance(null, { ...factsOf(chains, config), ...(sidecar === null ? {} : { shapedBy: [sidecar] }) }),
  });
}

/** Routes by request, for what the first bytes show to be HTTP. */
function httpChain(http: HttpRouting, { name }: ListenerPlace, isInspected: boolean, config: MeshConfig): FilterChain {
  const forwards = http.kind === "table" && http.forwardsByHost;
  const takesGrpcWeb = http.kind === "table" && http.takesGrpcWeb;
  const asksWhoWasDialled = http.kind === "table" && http.asksWhoWasDialled;
  return create(FilterChainSchema, {
    ...(isInspected ? { filterChainMatch: { applicationProtocols: HTTP_BY_INSPECTION } } : {}),
    filters: [
      httpConnectionManager({
        direction: "outbound",
        statPrefix: `outbound_${name}`,
        routeSpecifier: routeSpecifier(http),
        filters: [
          ...(asksWhoWasDialled ? dialledAddress : []),
          ...(takesGrpcWeb ? [grpcWeb] : []),
          ...(forwards ? [dynamicForwardProxy(config)] : []),
        ],
        config,
      }),
    ],
  });
}

function routeSpecifier(http: HttpRouting) {
  if (http.kind === "table") {
    return { case: "rds" as const, value: { routeConfigName: http.name, configSource: adsSource } };
  }
  const route = buildDefaultRoute(http.cluster, null);
  if (route.action.case === "route") {
    const metadata = { filterMetadata: { "envoy.lb": { [ADDRESS_KEY]: http.address } } };
    route.action.value.metadataMatch = create(MetadataSchema, metadata);
  }
  const table = create(RouteConfigurationSchema, {
    name: http.cluster,
    validateClusters: false,
    virtualHosts: [{ name: http.cluster, domains: ["*"], routes: [route] }],
  });
  return { case: "routeConfig" as const, value: table };
}

/** Without a timeout of the mesh's the first bytes are waited for as long as it takes, as Istio does. */
function detection({ protocolDetectionTimeout }: MeshConfig) {
  return {
    listenerFiltersTimeout: durationOfMs(
      protocolDetectionTimeout === null ? 0 : parseDurationMs(protocolDetectionTimeout),
    ),
    continueOnListenerFiltersTimeout: true,
  };
}

function factsOf(chains: readonly TcpChain[], { trustDomain }: MeshConfig): JsonObject {
  if (chains.length === 0) return { trustDomain };
  return {
    services: chains.map(({ service: { hostname, name, namespace } }) => ({ host: hostname, name, namespace })),
  };
}

import { create } from "@bufbuild/protobuf";
import { TrafficDirection } from "../../gen/envoy/config/core/v3/base_pb.ts";
import {
  type Filter,
  type FilterChain,
  FilterChainSchema,
} from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { ProxyProtocolSchema } from "../../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts";
import { HttpConnectionManager_ForwardClientCertDetails } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { AuthorizationPolicy } from "../../mesh/istio/authorization-policy.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { address } from "../address.ts";
import { encodeResource } from "../encode.ts";
import type { AssignmentInput } from "../endpoint/assignment.ts";
import { buildAuthorization } from "../filters/authorization.ts";
import { type BoundRateLimit, buildRateLimits } from "../filters/rate-limit.ts";
import { claimOf, nameOf, unclaimed } from "../listener/claimed-chains.ts";
import { grpcWeb } from "../listener/grpc-web.ts";
import { tlsInspector } from "../listener/inspectors.ts";
import { httpConnectionManager } from "../listener/network-filters.ts";
import { buildTcpFilterChain, type TcpChain } from "../listener/tcp-chain.ts";
import { provenance } from "../provenance.ts";
import { adsSource } from "../tls-context.ts";
import { typedConfig } from "../typed-config.ts";
import type { Workload } from "../workload.ts";
import type { RoutedHost } from "./bound-routes.ts";
import { connectionRoutes, type DestinationRules } from "./connection-routes.ts";
import { routeTableName } from "./route-tables.ts";
import type { BoundServer, ServedPort } from "./served-ports.ts";
import { serverTls } from "./server-tls.ts";
import { sniChains } from "./sni-routes.ts";
import type { GatewayTopology } from "./topology.ts";

/** A server with what is routed at it; requests are routed by tables of their own, so they have none here. */
export interface RoutedServer {
  readonly server: BoundServer;
  readonly routed: readonly RoutedHost[];
  /** Of all services of the mesh, where the server passes the mesh's own TLS on. */
  readonly services: readonly AssignmentInput[];
}

/** What the proxy is, beside its servers. */
export interface GatewayGuards {
  readonly workload: Workload;
  readonly policies: readonly AuthorizationPolicy[];
  readonly limits: readonly BoundRateLimit[];
  readonly rules: DestinationRules;
}

/** One port of a gateway; null where nothing could come of a connection to it. `topology` is what `readGatewayTopology` returned. */
export function buildGatewayListener(
  servers: readonly RoutedServer[],
  ip: string,
  number: number,
  hasIpv6: boolean,
  topology: string,
  guards: GatewayGuards,
  config: MeshConfig,
): EncodedResource | null {
  const known: GatewayTopology = JSON.parse(topology);
  const { workload, policies, limits } = guards;
  const guard = {
    authorization: buildAuthorization(policies, workload, config),
    limits: buildRateLimits(limits, number),
  };
  const claimed = new Set<string>();
  const sharing = servers.map(({ server }) => server);
  const chains = servers.flatMap((one) => {
    return serverChains(one, { place: { ip, number }, sharing, claimed, guard, topology: known, guards, config });
  });
  if (chains.length === 0) return null;
  const readsTls = sharing.some(({ kind }) => kind === "https" || kind === "tls");
  return encodeResource(ListenerSchema, {
    name: `${ip === "" ? "0.0.0.0" : ip}_${number}`,
    address: address(ip === "" ? "0.0.0.0" : ip, number),
    ...(ip === "" && hasIpv6 ? { additionalAddresses: [{ address: address("::", number) }] } : {}),
    trafficDirection: TrafficDirection.OUTBOUND,
    listenerFilters: [...(known.speaksProxyProtocol ? [proxyProtocol] : []), ...(readsTls ? [tlsInspector] : [])],
    filterChains: chains,
  });
}

interface ChainContext {
  readonly place: Omit<ServedPort, "servers">;
  /** All servers of the port. */
  readonly sharing: readonly BoundServer[];
  /** What chains before have, by `claimOf` and the like. */
  readonly claimed: Set<string>;
  readonly guard: {
    readonly authorization: ReturnType<typeof buildAuthorization>;
    readonly limits: ReturnType<typeof buildRateLimits>;
  };
  readonly topology: GatewayTopology;
  readonly guards: GatewayGuards;
  readonly config: MeshConfig;
}

function serverChains({ server, routed, services }: RoutedServer, context: ChainContext): FilterChain[] {
  const { claimed, config } = context;
  const { gateway, kind } = server;
  const { tls } = server.server;
  switch (kind) {
    case "http":
      if (!claim(HTTP, claimed)) return [];
      return [create(FilterChainSchema, { filters: requestFilters(server, context), metadata: provenance(gateway) })];
    case "https": {
      const free = server.hosts.map(({ host }) => nameOf(host)).filter((name) => claim(claimOf(name), claimed));
      if (free.length === 0) return [];
      return [
        create(FilterChainSchema, {
          ...matching(free),
          filters: requestFilters(server, context),
          ...ending(server, config),
          metadata: provenance(gateway),
        }),
      ];
    }
    case "tls":
      if (tls?.mode === "AUTO_PASSTHROUGH") {
        return sniChains(services, server.hosts, gateway).filter((chain) => claim(`mesh ${chain.name}`, claimed));
      }
      return guarded(connectionRoutes(server, routed, context.guards.rules, config.domain), context, server);
    case "tcp":
      return guarded(connectionRoutes(server, routed, context.guards.rules, config.domain), context, server);
  }
}

/** All servers of requests on a port share one chain; only one host table tells them apart. */
const HTTP = "requests";

function requestFilters(server: BoundServer, { place, sharing, guard, topology, config }: ChainContext): Filter[] {
  const { authorization, limits } = guard;
  const name = routeTableName(server, place);
  const takesGrpcWeb = (server.kind === "http" ? sharing : [server]).some(speaksGrpcWeb);
  const manager = httpConnectionManager({
    direction: "outbound",
    // The servers of plain requests share one, and so no name of theirs.
    statPrefix: (server.kind === "https" && server.server.name) || listening(place),
    routeSpecifier: { case: "rds", value: { routeConfigName: name, configSource: adsSource } },
    filters: [...authorization.http, ...limits.http, ...(takesGrpcWeb ? [grpcWeb] : [])],
    settings: {
      useRemoteAddress: true,
      xffNumTrustedHops: topology.trustedProxies,
      forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails[topology.forwardedClientCert],
      setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
      serverName: "istio-envoy",
    },
    config,
  });
  return [...limits.network, manager];
}

function listening({ ip, number }: ChainContext["place"]): string {
  return `outbound_${ip === "" ? "0.0.0.0" : ip}_${number}`;
}

function speaksGrpcWeb({ server }: BoundServer): boolean {
  return server.port.protocol.toUpperCase().startsWith("GRPC-WEB");
}

/** Chains of connections, each with the names that nobody before it has. */
function guarded(routes: readonly TcpChain[], context: ChainContext, server: BoundServer): FilterChain[] {
  const { claimed, guard, config } = context;
  return routes.flatMap((route): FilterChain[] => {
    const free = unclaimed(route, claimed);
    if (free === null) return [];
    const serverNames = free.serverNames.includes("") ? [] : free.serverNames;
    const chain = buildTcpFilterChain({ ...free, serverNames }, config);
    return [
      create(FilterChainSchema, {
        ...chain,
        filters: [...guard.limits.network, ...guard.authorization.network, ...chain.filters],
        ...ending(server, config),
      }),
    ];
  });
}

/** Whether nobody had it before; now somebody has. */
function claim(key: string, claimed: Set<string>): boolean {
  return claimed.size < claimed.add(key).size;
}

function matching(names: readonly string[]) {
  return names.includes("") ? {} : { filterChainMatch: { serverNames: [...names] } };
}

function ending({ kind, server }: BoundServer, { trustDomain, trustDomainAliases }: MeshConfig) {
  const socket = serverTls(server.tls ?? {}, kind === "https", [trustDomain, ...trustDomainAliases]);
  return socket === null || kind === "tcp" ? {} : { transportSocket: socket };
}

const proxyProtocol = {
  name: "envoy.filters.listener.proxy_protocol",
  configType: { case: "typedConfig" as const, value: typedConfig(ProxyProtocolSchema, {}) },
};

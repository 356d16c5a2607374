import type { AuthorizationPolicy } from "../../mesh/istio/authorization-policy.ts";
import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { MeshService } from "../../mesh/mesh-service.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import type { AssignmentInput } from "../endpoint/assignment.ts";
import { type BoundRateLimit, selectRateLimits } from "../filters/rate-limit.ts";
import { type Outbound, translateClusters } from "../outbound.ts";
import type { OutboundScope } from "../scope.ts";
import type { Workload } from "../workload.ts";
import { createGatewayRoutes, type GatewayRoutes, type RoutedHost } from "./bound-routes.ts";
import type { DestinationRules } from "./connection-routes.ts";
import { buildGatewayListener, type GatewayGuards, type RoutedServer } from "./listener.ts";
import { buildGatewayTables } from "./route-tables.ts";
import { type BoundServer, type ServedPort, selectServedPorts } from "./served-ports.ts";
import { buildSniClusters } from "./sni-routes.ts";

export interface GatewayInput {
  readonly mesh: MeshSnapshot;
  readonly workload: Workload;
  readonly hasIpv6: boolean;
  /** What `readGatewayTopology` returned. */
  readonly topology: string;
  /** Where the proxy is, among several. */
  readonly network: string;
  /** All that the gateway's namespace sees. */
  readonly scope: OutboundScope;
}

/** What replicas of a gateway share; `sniEndpoints` are the same wherever they are. */
export interface GatewayOutbound extends Outbound {
  readonly sniEndpoints: readonly EncodedResource[];
}

/** Names what an input makes, for lists that are kept. */
export function gatewayView({ workload, hasIpv6, topology, network }: Omit<GatewayInput, "mesh" | "scope">): string {
  return `gateway ${workload.id} ${hasIpv6} ${topology} ${network}`;
}

/** What a proxy is sent that stands alone at the edge of the mesh: the servers of the Gateways that select it. */
export function translateGateway(input: GatewayInput, cache: BuildCache): GatewayOutbound {
  const { mesh, workload, hasIpv6, topology, network, scope } = input;
  const { config } = mesh;
  const view = gatewayView(input);
  const { clusters, assignments } = translateClusters(mesh, scope, view, cache, (service) =>
    service.isHeadless ? cache.get(buildUndialled, service) : service,
  );
  const routes = createGatewayRoutes({ mesh, workload, scope, view, cache });
  const guards = cache.get(
    buildGuards,
    workload,
    mesh.authorizationPoliciesFor(workload.namespace),
    selectRateLimits(mesh, workload, "", cache),
    cache.list(`reachable ${view}`, [...scope.reachable.keys()]),
    cache.list(
      `rules ${view}`,
      [...scope.reachable.values()].map(({ rule }) => rule),
    ),
  );
  // Outside of the mesh nobody speaks its TLS, and a gateway must not become a way to there.
  const peers = cache.list(
    `peers ${view}`,
    assignments.filter(({ service }) => !service.isExternal),
  );
  const listeners: EncodedResource[] = [];
  const tables: EncodedResource[] = [];
  const ports = selectServedPorts(mesh, workload, cache);
  for (const port of ports) {
    const servers = routedServers(port, routes, peers, cache);
    const { ip, number } = port;
    const listener = cache.get(buildGatewayListener, servers, ip, number, hasIpv6, topology, guards, config);
    if (listener === null) continue;
    listeners.push(listener);
    tables.push(...buildGatewayTables(port, routes, config, cache));
  }
  const isBetweenNetworks = ports.some(({ servers }) => servers.some(passesMeshTls));
  const sni = isBetweenNetworks ? buildSniClusters(peers, network, cache) : { clusters: [], endpoints: [] };
  return {
    view,
    assignments,
    clusters: cache.list(`all clusters ${view}`, [...clusters, ...sni.clusters]),
    listeners: cache.list(`listeners ${view}`, listeners),
    routes: cache.list(`routes ${view}`, tables),
    sniEndpoints: cache.list(`sni endpoints ${view}`, sni.endpoints),
  };
}

/** Each server of a port with what decides about its connections; of requests, the route tables do. */
function routedServers(
  { ip, number, servers }: ServedPort,
  routes: GatewayRoutes,
  peers: readonly AssignmentInput[],
  cache: BuildCache,
): readonly RoutedServer[] {
  const place = `${routes.view} ${ip} ${number}`;
  const routed = servers.map((server, index) => {
    const found = server.kind === "tls" || server.kind === "tcp" ? routes.routedHosts(server) : [];
    const hosts = found.map(({ host, bound }) => cache.get(buildRoutedHost, bound, host));
    const list = cache.list(`routed hosts ${place} ${index}`, hosts);
    return cache.get(buildRoutedServer, server, list, passesMeshTls(server) ? peers : NONE);
  });
  return cache.list(`servers ${place}`, routed);
}

/** Callers dial the gateway, and no pod behind it: a headless service is one like others, whose rule chooses the pod. */
function buildUndialled(service: MeshService): MeshService {
  return { ...service, isHeadless: false };
}

function passesMeshTls({ kind, server }: BoundServer): boolean {
  return kind === "tls" && server.tls?.mode === "AUTO_PASSTHROUGH";
}

const NONE: readonly AssignmentInput[] = Object.freeze([]);

function buildRoutedHost(bound: RoutedHost["bound"], host: string): RoutedHost {
  return { host, bound };
}

function buildRoutedServer(
  server: BoundServer,
  routed: readonly RoutedHost[],
  services: readonly AssignmentInput[],
): RoutedServer {
  return { server, routed, services };
}

function buildGuards(
  workload: Workload,
  policies: readonly AuthorizationPolicy[],
  limits: readonly BoundRateLimit[],
  hosts: readonly string[],
  rules: readonly (DestinationRule | null)[],
): GatewayGuards {
  const known: DestinationRules = new Map(
    hosts.flatMap((host, index): [string, DestinationRule][] => {
      const rule = rules[index] ?? null;
      return rule === null ? [] : [[host, rule]];
    }),
  );
  return { workload, policies, limits, rules: known };
}

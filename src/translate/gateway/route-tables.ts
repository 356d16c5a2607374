import { type Route, VirtualHost_TlsRequirementType } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { compareSpecificity } from "../../mesh/hostname.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import { compareText } from "../../mesh/object.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import type { BoundVirtualService } from "../bound-virtual-service.ts";
import { buildRouteTable } from "../route/route-configuration.ts";
import { type EncodedVirtualHost, encodeVirtualHost, routesOf } from "../route/virtual-host.ts";
import type { GatewayRoutes } from "./bound-routes.ts";
import type { BoundServer, ServedPort } from "./served-ports.ts";

/** The route tables of one port: the servers of requests share one, each that ends TLS has its own. */
export function buildGatewayTables(
  port: ServedPort,
  routes: GatewayRoutes,
  config: MeshConfig,
  cache: BuildCache,
): readonly EncodedResource[] {
  const tables = Map.groupBy(
    port.servers.filter(({ kind }) => kind === "http" || kind === "https"),
    (server) => routeTableName(server, port),
  );
  return [...tables].map(([name, servers]) => {
    const hosts = virtualHosts(servers, port, routes, config, cache);
    return cache.get(buildRouteTable, cache.list(`gateway hosts ${routes.view} ${name}`, hosts), name);
  });
}

/**
 * Istio's names: `http.8080`, `https.443.https-shop.public.istio-ingress`. A Gateway's name may have dots; a server whose
 * port has no name, or one with dots, goes by its place among the servers, as no name does, so that no two tables share one.
 */
export function routeTableName(
  { kind, server, gateway }: BoundServer,
  { ip, number }: Omit<ServedPort, "servers">,
): string {
  const { namespace, name } = gateway.metadata;
  if (kind === "http") return ip === "" ? `http.${number}` : `http.${number}.${ip}`;
  const portName = server.port.name ?? "";
  const which = PLAIN_NAME.test(portName) ? portName : `[${gateway.spec.servers?.indexOf(server)}]`;
  return `https.${number}.${which}.${name}.${namespace}`;
}

const PLAIN_NAME = /^[\w-]+$/;

interface HostPlan {
  /** The servers' own number of the port, which matches ask about, and what is routed there. */
  readonly bound: Map<BoundVirtualService, number>;
  redirects: boolean;
}

function virtualHosts(
  servers: readonly BoundServer[],
  { number }: ServedPort,
  routes: GatewayRoutes,
  config: MeshConfig,
  cache: BuildCache,
): EncodedVirtualHost[] {
  const plans = new Map<string, HostPlan>();
  const planOf = (host: string) => {
    const plan = plans.get(host) ?? { bound: new Map(), redirects: false };
    plans.set(host, plan);
    return plan;
  };
  for (const server of servers) {
    const routed = routes.routedHosts(server);
    for (const { host, bound } of routed) planOf(host).bound.set(bound, server.server.port.number);
    if (server.server.tls?.httpsRedirect !== true || server.kind !== "http") continue;
    for (const host of [...routed, ...server.hosts]) planOf(host.host).redirects = true;
  }
  const inOrder = [...plans].sort(([a], [b]) => compareSpecificity(a, b) || compareText(a, b));
  return inOrder.flatMap(([host, { bound, redirects }]) => {
    const list = cache.list(`gateway routes ${routes.view} ${number} ${host} ${[...bound.values()]}`, [
      ...bound.keys(),
    ]);
    const ports = [...bound.values()].join(",");
    return cache.get(buildGatewayVirtualHost, list, host, ports, number, redirects, config) ?? [];
  });
}

/**
 * What is routed for one host, by all VirtualServices that share it: their routes one after the other, those that take
 * every request last, so that none hides another's. `ports` are as the VirtualServices know theirs, with commas between.
 * Null where nothing is routed.
 */
function buildGatewayVirtualHost(
  bound: readonly BoundVirtualService[],
  host: string,
  ports: string,
  number: number,
  redirects: boolean,
  config: MeshConfig,
): EncodedVirtualHost | null {
  const numbers = ports.split(",").map(Number);
  const routes = bound.flatMap((one, index) => routesOf(one, numbers[index] ?? number, config));
  if (routes.length === 0 && !redirects) return null;
  const inOrder = [...routes.filter((route) => !takesAll(route)), ...routes.filter(takesAll)];
  const { ALL, NONE } = VirtualHost_TlsRequirementType;
  return encodeVirtualHost(`${host}:${number}`, [host], inOrder, redirects ? ALL : NONE);
}

function takesAll({ match }: Route): boolean {
  const path = match?.pathSpecifier;
  const asksMore = (match?.headers.length ?? 0) + (match?.queryParameters.length ?? 0) > 0;
  return !asksMore && path?.case === "prefix" && path.value === "/";
}

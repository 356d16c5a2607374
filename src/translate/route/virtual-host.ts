import { create, toBinary } from "@bufbuild/protobuf";
import { type Route, VirtualHostSchema } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { resolveHost } from "../../mesh/hostname.ts";
import type { Destination, HttpMatch, VirtualService } from "../../mesh/istio/virtual-service.ts";
import { labelsMatch } from "../../mesh/labels.ts";
import type { MeshService } from "../../mesh/mesh-service.ts";
import { outboundClusterName } from "../names.ts";
import { isForMesh } from "../scope.ts";
import type { Workload } from "../workload.ts";
import { buildDefaultRoute, buildHttpRoute } from "./http-route.ts";

/** A virtual host, encoded as it stands in a RouteConfiguration, and the domains it claims there. */
export interface EncodedVirtualHost {
  readonly domains: readonly string[];
  readonly bytes: Uint8Array;
}

/** A VirtualService with the services its destinations name, which its routes depend on. */
export interface BoundVirtualService {
  readonly virtualService: VirtualService;
  readonly destinations: readonly MeshService[];
  /** The caller, where the VirtualService asks who calls; else null, so that all callers share what is built. */
  readonly caller: Workload | null;
}

/**
 * A service's virtual host on one port: by all of its names, the shortest only for callers in its own namespace, but not
 * those `taken` by another (separated by commas), since Envoy refuses a table where two claim one; null where none is left.
 */
export function buildServiceVirtualHost(
  service: MeshService,
  port: number,
  bound: BoundVirtualService | null,
  sameNamespace: boolean,
  domain: string,
  taken: string,
): EncodedVirtualHost | null {
  const { hostname, name, namespace, addresses } = service;
  const names = [
    hostname,
    `${name}.${namespace}.svc`,
    `${name}.${namespace}`,
    ...(sameNamespace ? [name] : []),
    ...addresses.map((ip) => (ip.includes(":") ? `[${ip}]` : ip)),
  ];
  const lost = new Set(taken.split(","));
  const domains = [...new Set(names)].filter((name) => !lost.has(name));
  if (domains.length === 0) return null;
  const routes = bound === null ? [] : routesOf(bound, port, domain);
  // Where no route of the VirtualService is for this port or this caller, it has nothing to say.
  if (routes.length === 0) routes.push(buildDefaultRoute(outboundClusterName(hostname, port)));
  return encodeVirtualHost(`${hostname}:${port}`, domains, routes);
}

/** For a host that only a VirtualService knows; null where no route of it is for this port or this caller. */
export function buildHostVirtualHost(
  bound: BoundVirtualService,
  host: string,
  port: number,
  domain: string,
): EncodedVirtualHost | null {
  const routes = routesOf(bound, port, domain);
  return routes.length === 0 ? null : encodeVirtualHost(`${host}:${port}`, [host], routes);
}

export function encodeVirtualHost(name: string, domains: readonly string[], routes: Route[]): EncodedVirtualHost {
  const virtualHost = create(VirtualHostSchema, {
    name,
    domains: [...domains],
    routes,
    includeRequestAttemptCount: true,
  });
  return { domains, bytes: toBinary(VirtualHostSchema, virtualHost) };
}

function routesOf(bound: BoundVirtualService, port: number, domain: string): Route[] {
  const { virtualService, destinations, caller } = bound;
  const services = new Map(destinations.map((service) => [service.hostname, service]));
  const clusterOf = ({ host, subset, port: wanted }: Destination) => {
    const hostname = resolveHost(host, virtualService.metadata.namespace, domain);
    const ports = services.get(hostname)?.ports ?? [];
    const number = wanted?.number ?? (ports.length === 1 ? ports[0]?.number : undefined) ?? port;
    return outboundClusterName(hostname, number, subset);
  };
  return (virtualService.spec.http ?? []).flatMap((route) => {
    if (route.match === undefined || route.match.length === 0) {
      return [buildHttpRoute(route, null, clusterOf, virtualService)];
    }
    return route.match
      .filter((match) => appliesTo(match, port, caller))
      .map((match) => buildHttpRoute(route, match, clusterOf, virtualService));
  });
}

/** The part of a match that is known before any request comes. */
function appliesTo(match: HttpMatch, port: number, caller: Workload | null): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  if (!isForMesh(match.gateways)) return false;
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== caller?.namespace) return false;
  return match.sourceLabels === undefined || labelsMatch(match.sourceLabels, caller?.labels ?? {});
}

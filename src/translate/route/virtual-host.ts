import { create, toBinary } from "@bufbuild/protobuf";
import {
  type Route,
  VirtualHost_TlsRequirementType,
  VirtualHostSchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import type { Destination } from "../../mesh/istio/fields.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MeshService } from "../../mesh/mesh-service.ts";
import { appliesTo, type BoundVirtualService, resolveDestination } from "../bound-virtual-service.ts";
import { outboundClusterName } from "../names.ts";
import { buildDefaultRoute, buildHttpRoute } from "./http-route.ts";
import { serviceDomains } from "./service-domains.ts";

/** What of the mesh's settings routes depend on. */
type RouteDefaults = Pick<MeshConfig, "defaultHttpRetryPolicy" | "domain">;

/** A virtual host, encoded as it stands in a RouteConfiguration, and the domains it claims there. */
export interface EncodedVirtualHost {
  readonly domains: readonly string[];
  readonly bytes: Uint8Array;
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
  config: RouteDefaults,
  taken: string,
): EncodedVirtualHost | null {
  const { hostname } = service;
  const lost = new Set(taken.split(","));
  const domains = serviceDomains(service, sameNamespace).filter((name) => !lost.has(name));
  if (domains.length === 0) return null;
  return encodeVirtualHost(`${hostname}:${port}`, domains, serviceRoutes(service, port, bound, config));
}

/** Where a service's own address was dialled: its routes hold whatever host a request names. */
export function buildOnlyVirtualHost(
  service: MeshService,
  port: number,
  bound: BoundVirtualService | null,
  config: RouteDefaults,
): EncodedVirtualHost {
  return encodeVirtualHost(`${service.hostname}:${port}`, ["*"], serviceRoutes(service, port, bound, config));
}

/** Where no route of the VirtualService is for this port or this caller, it has nothing to say. */
function serviceRoutes(
  { hostname }: MeshService,
  port: number,
  bound: BoundVirtualService | null,
  config: RouteDefaults,
): Route[] {
  const routes = bound === null ? [] : routesOf(bound, port, config);
  if (routes.length > 0) return routes;
  return [buildDefaultRoute(outboundClusterName(hostname, port), config.defaultHttpRetryPolicy)];
}

/** For a host that only a VirtualService knows; null where no route of it is for this port or this caller. */
export function buildHostVirtualHost(
  bound: BoundVirtualService,
  host: string,
  port: number,
  config: RouteDefaults,
): EncodedVirtualHost | null {
  const routes = routesOf(bound, port, config);
  return routes.length === 0 ? null : encodeVirtualHost(`${host}:${port}`, [host], routes);
}

export function encodeVirtualHost(
  name: string,
  domains: readonly string[],
  routes: Route[],
  requireTls: VirtualHost_TlsRequirementType = VirtualHost_TlsRequirementType.NONE,
): EncodedVirtualHost {
  const virtualHost = create(VirtualHostSchema, {
    name,
    domains: [...domains],
    routes,
    requireTls,
    includeRequestAttemptCount: true,
  });
  return { domains, bytes: toBinary(VirtualHostSchema, virtualHost) };
}

/** The routes of a VirtualService for requests that come by a port, as its callers know it. */
export function routesOf(bound: BoundVirtualService, port: number, config: RouteDefaults): Route[] {
  const { virtualService } = bound;
  const resolve = (destination: Destination) => resolveDestination(destination, bound, port, config.domain);
  const target = { port, resolve, defaultRetries: config.defaultHttpRetryPolicy };
  return (virtualService.spec.http ?? []).flatMap((route) => {
    if (route.match === undefined || route.match.length === 0) {
      return [buildHttpRoute(route, null, target, virtualService)];
    }
    return route.match
      .filter((match) => appliesTo(match, port, bound))
      .map((match) => buildHttpRoute(route, match, target, virtualService));
  });
}

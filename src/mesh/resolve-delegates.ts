import type { BuildCache } from "../platform/build-cache.ts";
import { resolveHost } from "./hostname.ts";
import type { Destination } from "./istio/fields.ts";
import type { HttpRoute } from "./istio/http-route.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import { mergeMatches } from "./merge-matches.ts";
import type { MeshConfig } from "./mesh-config.ts";
import { roomForRoutes } from "./route-budget.ts";
import { exportedTo, visibleFrom } from "./visibility.ts";

/**
 * VirtualServices that have hosts, with the routes of those they delegate to in the place of the delegation. Such a
 * route keeps its `delegate`, which says where it comes from, and its destinations are under their full names, since
 * short ones are of the delegate's namespace.
 */
export function resolveDelegates(
  virtualServices: readonly VirtualService[],
  { domain, defaultVirtualServiceExportTo: byDefault }: Pick<MeshConfig, "defaultVirtualServiceExportTo" | "domain">,
  cache: BuildCache,
): readonly VirtualService[] {
  const delegates = new Map(
    virtualServices
      .filter((one) => !hasHosts(one))
      .map((one) => [keyOf(one.metadata.namespace, one.metadata.name), one]),
  );
  return virtualServices.filter(hasHosts).map((root) => {
    const wanted = (root.spec.http ?? []).flatMap((route) => delegateKey(route, root) ?? []);
    if (wanted.length === 0) return root;
    const found = wanted.map((key) => delegates.get(key));
    const { namespace, name } = root.metadata;
    const known = cache.list(`delegates of ${namespace}/${name}`, found);
    return cache.get(buildRootVirtualService, known, root, domain, byDefault);
  });
}

function hasHosts({ spec }: VirtualService): boolean {
  return (spec.hosts ?? []).length > 0;
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** `NAMESPACE/NAME` of what a route delegates to; null where it does not. */
function delegateKey({ delegate }: HttpRoute, root: VirtualService): string | null {
  if (delegate === undefined) return null;
  return keyOf(delegate.namespace || root.metadata.namespace, delegate.name ?? "");
}

/**
 * `delegates` are those of the root's delegating routes, in their order. A route without one goes nowhere: it is left out,
 * as is one that there is no room for.
 */
function buildRootVirtualService(
  delegates: readonly (VirtualService | undefined)[],
  root: VirtualService,
  domain: string,
  byDefault: readonly string[],
): VirtualService {
  const delegating = (root.spec.http ?? []).filter((route) => route.delegate !== undefined);
  const found = new Map(delegating.map((route, index) => [route, delegates[index]]));
  const hasRoom = roomForRoutes(root, (route) => found.get(route));
  const http = (root.spec.http ?? []).flatMap((route, index) => {
    if (route.delegate === undefined) return [route];
    const delegate = found.get(route);
    if (delegate === undefined || !isVisible(delegate, root, byDefault) || !hasRoom[index]) return [];
    return (delegate.spec.http ?? []).flatMap((inner) => mergeRoutes(route, qualified(inner, delegate, domain)) ?? []);
  });
  return { ...root, spec: { ...root.spec, http } };
}

function isVisible({ metadata, spec }: VirtualService, root: VirtualService, byDefault: readonly string[]): boolean {
  return visibleFrom(root.metadata.namespace, metadata.namespace, exportedTo(spec.exportTo, byDefault));
}

/**
 * The delegate's route under the root's conditions, with the root's settings where it has none of its own; null where
 * one of its conditions contradicts all of the root's.
 */
function mergeRoutes(root: HttpRoute, route: HttpRoute): HttpRoute | null {
  const match = mergeMatches(root.match ?? [], route.match ?? []);
  if (match === null) return null;
  const { match: _, delegate: __, name, ...defaults } = root;
  const names = [name, route.name].filter((part) => part !== undefined && part !== "");
  return { ...defaults, ...route, match, ...(names.length === 0 ? {} : { name: names.join("-") }) };
}

function qualified(route: HttpRoute, { metadata: { namespace, name } }: VirtualService, domain: string): HttpRoute {
  const full = (destination: Destination): Destination => ({
    ...destination,
    host: resolveHost(destination.host, namespace, domain),
  });
  return {
    ...route,
    delegate: { namespace, name },
    ...(route.route === undefined
      ? {}
      : { route: route.route.map((one) => ({ ...one, destination: full(one.destination) })) }),
    ...(route.mirror === undefined ? {} : { mirror: full(route.mirror) }),
    ...(route.mirrors === undefined
      ? {}
      : { mirrors: route.mirrors.map((one) => ({ ...one, destination: full(one.destination) })) }),
  };
}

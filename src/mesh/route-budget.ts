import type { HttpRoute } from "./istio/http-route.ts";
import type { VirtualService } from "./istio/virtual-service.ts";

/**
 * Routes that one VirtualService may ask of a proxy, counted for each of its hosts: tens of megabytes. Else an object of a
 * few kilobytes could ask for more than a control plane has memory.
 */
export const MOST_ROUTES = 50_000;

/** How many routes are made of these for one host. */
export function countRoutes(http: readonly HttpRoute[] = []): number {
  return http.reduce((sum, { match = [] }) => sum + Math.max(match.length, 1), 0);
}

/** Of a root's routes, in their order, whether there is room for them with those that they delegate to. */
export function roomForRoutes(
  { spec: { hosts = [], http = [] } }: VirtualService,
  delegateOf: (route: HttpRoute) => VirtualService | undefined,
): readonly boolean[] {
  let left = MOST_ROUTES / hosts.length;
  return http.map((route) => {
    const times = route.delegate === undefined ? 1 : countRoutes(delegateOf(route)?.spec.http);
    left -= countRoutes([route]) * times;
    return left >= 0;
  });
}

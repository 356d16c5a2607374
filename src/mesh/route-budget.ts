import type { HttpRoute } from "./istio/http-route.ts";
import type { VirtualService } from "./istio/virtual-service.ts";

/**
 * Routes that one VirtualService may ask of a proxy, counted at each place that it has them (a host of its own, a port of a
 * service that one covers): tens of megabytes. Else an object of a few kilobytes could ask for more than a control plane
 * has memory.
 */
export const MOST_ROUTES = 50_000;

/** How many routes are made of these for one host, or chains of connections at one port: one for each match. */
export function countRoutes(routes: readonly { readonly match?: readonly unknown[] }[] = []): number {
  return routes.reduce((sum, { match = [] }) => sum + Math.max(match.length, 1), 0);
}

/** Whether the routes of its own alone are too many for its hosts. */
export function asksForTooMuch({ hosts = [], http = [] }: VirtualService["spec"]): boolean {
  return hosts.length * countRoutes(http) > MOST_ROUTES;
}

/** Keeps account of the routes that are made for one proxy. */
export interface RouteBudget {
  /** Whether there is room for a VirtualService's routes of a kind at one more place; if so, they count. */
  takes(virtualService: VirtualService, kind: "http" | "tls" | "tcp"): boolean;
}

export function createRouteBudget(): RouteBudget {
  const spent = new Map<VirtualService, number>();
  return {
    takes(virtualService, kind) {
      const all = (spent.get(virtualService) ?? 0) + countRoutes(virtualService.spec[kind]);
      if (all > MOST_ROUTES) return false;
      spent.set(virtualService, all);
      return true;
    },
  };
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

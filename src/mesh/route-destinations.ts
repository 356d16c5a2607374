import { resolveHost } from "./hostname.ts";
import type { Destination } from "./istio/fields.ts";
import type { VirtualService } from "./istio/virtual-service.ts";

/** A destination that a VirtualService names, and where it does. */
export interface NamedDestination {
  readonly destination: Destination;
  /** Path of the destination, such as `spec.http[0].route[1].destination`. */
  readonly path: string;
}

/** Everything that a VirtualService's routes send to, mirrors among it. */
export function routeDestinations({ http = [], tls = [], tcp = [] }: VirtualService["spec"]): NamedDestination[] {
  return [
    ...http.flatMap(({ route = [], mirror, mirrors = [] }, index) => [
      ...named(route, `spec.http[${index}].route`),
      ...(mirror === undefined ? [] : [{ destination: mirror, path: `spec.http[${index}].mirror` }]),
      ...named(mirrors, `spec.http[${index}].mirrors`),
    ]),
    ...tls.flatMap(({ route }, index) => named(route, `spec.tls[${index}].route`)),
    ...tcp.flatMap(({ route }, index) => named(route, `spec.tcp[${index}].route`)),
  ];
}

function named(routes: readonly { readonly destination: Destination }[], path: string): NamedDestination[] {
  return routes.map(({ destination }, index) => ({ destination, path: `${path}[${index}].destination` }));
}

/** The full names of the hosts it sends to, in order and each once. */
export function destinationHosts({ metadata, spec }: VirtualService, domain: string): string[] {
  const hosts = routeDestinations(spec).map(({ destination }) =>
    resolveHost(destination.host, metadata.namespace, domain),
  );
  return [...new Set(hosts)].sort();
}

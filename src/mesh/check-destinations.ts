import type { Destination } from "./istio/fields.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import { error, type Problem } from "./problem.ts";

/** A destination is one service, or the hosts that one ServiceEntry has a wildcard for; never all there are. */
export function checkDestinations({ http = [], tls = [], tcp = [] }: VirtualService["spec"]): Problem[] {
  const destinations = Object.entries({ http, tls, tcp }).flatMap(([kind, routes]) =>
    routes.flatMap((route, index) => destinationsOf(route, `spec.${kind}[${index}]`)),
  );
  return destinations.flatMap(({ destination, path }) =>
    destination.host === "*" ? [error(`${path}.host`, "is *, which is no service: name one")] : [],
  );
}

interface Destinations {
  readonly route?: readonly { readonly destination: Destination }[];
  readonly mirror?: Destination;
  readonly mirrors?: readonly { readonly destination: Destination }[];
}

function destinationsOf({ route = [], mirror, mirrors = [] }: Destinations, path: string) {
  return [
    ...route.map(({ destination }, index) => ({ destination, path: `${path}.route[${index}].destination` })),
    ...(mirror === undefined ? [] : [{ destination: mirror, path: `${path}.mirror` }]),
    ...mirrors.map(({ destination }, index) => ({ destination, path: `${path}.mirrors[${index}].destination` })),
  ];
}

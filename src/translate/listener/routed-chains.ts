import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { L4Match, RouteDestination, TlsMatch } from "../../mesh/istio/tcp-route.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import { appliesTo, type BoundVirtualService, resolveDestination } from "../bound-virtual-service.ts";
import type { TcpChain } from "./tcp-chain.ts";
import { tcpSettings } from "./tcp-settings.ts";

/**
 * Where a VirtualService sends connections that carry no requests: one chain for each match of its `tls` routes where the
 * port carries TLS, else of its `tcp` routes. `range` is the part of the port's addresses that is asked about, empty for
 * all; `rules` are those of the bound destinations, in their order.
 */
export function buildRoutedChains(
  bound: BoundVirtualService,
  service: MeshService,
  port: MeshPort,
  range: string,
  rules: readonly (DestinationRule | null)[],
  domain: string,
): readonly TcpChain[] {
  const { spec } = bound.virtualService;
  const { hostname, name, namespace } = service;
  const ruleOf = (host: string) => rules[bound.destinations.findIndex((known) => known.hostname === host)] ?? null;
  const chain = (serverNames: readonly string[], match: L4Match, route: readonly RouteDestination[]): TcpChain => ({
    service: { hostname, name, namespace },
    serverNames,
    ranges: asksWhere(match) ? (match.destinationSubnets ?? []) : range === "" ? [] : [range],
    isBesideHttp: port.protocol === "auto",
    database: port.database,
    ...buildChainTarget(bound, route, port.number, ruleOf, domain),
  });
  const fits = (match: L4Match) => appliesTo(match, port.number, bound);
  if (port.protocol === "tls") {
    return (spec.tls ?? []).flatMap(({ match, route }) =>
      match.filter(fits).map((one) => chain(serverNames(one), one, route)),
    );
  }
  const byAddress = (spec.tcp ?? []).flatMap(({ match = [], route }) =>
    (match.length === 0 ? [{}] : match.filter(fits)).map((match) => ({ match, route })),
  );
  // What is written behind one that takes every address is heard no more, as in Istio.
  const takesAll = byAddress.findIndex(({ match }) => !asksWhere(match));
  const heard = takesAll < 0 ? byAddress : byAddress.slice(0, takesAll + 1);
  return heard.map(({ match, route }) => chain([], match, route));
}

function asksWhere({ destinationSubnets = [] }: L4Match): boolean {
  return destinationSubnets.length > 0;
}

/** Where a route of a VirtualService leads from a port, under the rule that `ruleOf` finds for its first destination's host. */
export function buildChainTarget(
  bound: BoundVirtualService,
  route: readonly RouteDestination[],
  port: number,
  ruleOf: (hostname: string) => DestinationRule | null,
  domain: string,
): Omit<TcpChain, "service" | "serverNames" | "ranges" | "isBesideHttp" | "database"> {
  const destinations = route.map(({ destination, weight = 0 }) => ({
    ...resolveDestination(destination, bound, port, domain),
    weight: route.length === 1 ? 1 : weight,
  }));
  const [first] = destinations;
  const rule = first === undefined ? null : ruleOf(first.hostname);
  const lookedUp = bound.destinations.filter(({ resolution }) => resolution === "dynamic-dns");
  const named = destinations.find(({ hostname }) => lookedUp.some((service) => service.hostname === hostname));
  return {
    owner: bound.virtualService,
    destinations: destinations.map(({ cluster, weight }) => ({ cluster, weight })),
    endpointAddress: null,
    forwardPort: named?.port ?? null,
    ...tcpSettings(rule, route[0]?.destination.subset, first?.port ?? port),
  };
}

/** `*` asks for no name at all. */
function serverNames({ sniHosts }: TlsMatch): string[] {
  return sniHosts.includes("*") ? [] : sniHosts.map((name) => name.toLowerCase());
}

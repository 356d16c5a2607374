import { hostMatches } from "../../mesh/hostname.ts";
import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { L4Match, RouteDestination } from "../../mesh/istio/tcp-route.ts";
import { appliesTo, type BoundVirtualService, resolveDestination } from "../bound-virtual-service.ts";
import type { TcpChain } from "../listener/tcp-chain.ts";
import { tcpSettings } from "../listener/tcp-settings.ts";
import type { RoutedHost } from "./bound-routes.ts";
import type { BoundServer } from "./served-ports.ts";

export type ConnectionRoute = TcpChain;
/** Of the services that routes lead to, by host name. */
export type DestinationRules = ReadonlyMap<string, DestinationRule>;

/**
 * Where the connections of a server go that carry no requests: by `tls` routes where their TLS is passed on, by the server
 * name; by `tcp` routes where it ends here, or where there is none.
 */
export function connectionRoutes(
  { server, kind, hosts, gateway }: BoundServer,
  routed: readonly RoutedHost[],
  rules: DestinationRules,
  domain: string,
): readonly ConnectionRoute[] {
  const port = server.port.number;
  const own = { hostname: gateway.metadata.name, name: gateway.metadata.name, namespace: gateway.metadata.namespace };
  const routeTo = (
    bound: BoundVirtualService,
    serverNames: readonly string[],
    match: L4Match,
    route: readonly RouteDestination[],
  ): ConnectionRoute => {
    const destinations = route.map(({ destination, weight = 0 }) => ({
      ...resolveDestination(destination, bound, port, domain),
      weight: route.length === 1 ? 1 : weight,
    }));
    const [first] = destinations;
    const rule = rules.get(first?.hostname ?? "") ?? null;
    return {
      service: own,
      owner: bound.virtualService,
      serverNames,
      ranges: match.destinationSubnets ?? [],
      destinations: destinations.map(({ cluster, weight }) => ({ cluster, weight })),
      endpointAddress: null,
      forwardPort: null,
      isBesideHttp: false,
      ...tcpSettings(rule, route[0]?.destination.subset, first?.port ?? port),
    };
  };
  const passesTls = kind === "tls" && (server.tls?.mode ?? "PASSTHROUGH") === "PASSTHROUGH";
  const byServer = new Map(routed.map(({ bound }) => [bound, hostsOf(routed, bound)]));
  return [...byServer].flatMap(([bound, own]) => {
    const { tls = [], tcp = [] } = bound.virtualService.spec;
    if (passesTls) {
      return tls.flatMap(({ match, route }) =>
        match
          .filter((one) => appliesTo(one, port, bound))
          .flatMap((one) => {
            const names = one.sniHosts
              .map((name) => name.toLowerCase())
              .filter((name) => hosts.some(({ host }) => hostMatches(host, name) || host === name));
            return names.length === 0 ? [] : [routeTo(bound, names.map(anyName), one, route)];
          }),
      );
    }
    const names = kind === "tls" ? own.map(anyName) : [];
    return tcp.flatMap(({ match = [], route }) =>
      match.length === 0
        ? [routeTo(bound, names, {}, route)]
        : match.filter((one) => appliesTo(one, port, bound)).map((one) => routeTo(bound, names, one, route)),
    );
  });
}

function hostsOf(routed: readonly RoutedHost[], bound: BoundVirtualService): string[] {
  return routed.filter((one) => one.bound === bound).map(({ host }) => host);
}

/** `*` asks for no name at all. */
function anyName(host: string): string {
  return host === "*" ? "" : host;
}

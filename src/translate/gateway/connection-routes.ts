import { narrowerHost } from "../../mesh/hostname.ts";
import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { L4Match, RouteDestination } from "../../mesh/istio/tcp-route.ts";
import { appliesTo, type BoundVirtualService } from "../bound-virtual-service.ts";
import { nameOf } from "../listener/claimed-chains.ts";
import { buildChainTarget } from "../listener/routed-chains.ts";
import type { TcpChain } from "../listener/tcp-chain.ts";
import { hostsFor, type RoutedHost } from "./bound-routes.ts";
import type { BoundServer } from "./served-ports.ts";

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
): readonly TcpChain[] {
  const port = server.port.number;
  const { name, namespace } = gateway.metadata;
  const service = { hostname: name, name, namespace };
  const routeTo = (
    bound: BoundVirtualService,
    serverNames: readonly string[],
    match: L4Match,
    route: readonly RouteDestination[],
  ): TcpChain => ({
    service,
    serverNames,
    ranges: match.destinationSubnets ?? [],
    isBesideHttp: false,
    ...buildChainTarget(bound, route, port, (host) => rules.get(host) ?? null, domain),
  });
  const passesTls = kind === "tls" && (server.tls?.mode ?? "PASSTHROUGH") === "PASSTHROUGH";
  const byServer = new Map(routed.map(({ bound }) => [bound, hostsOf(routed, bound)]));
  return [...byServer].flatMap(([bound, own]) => {
    const { tls = [], tcp = [] } = bound.virtualService.spec;
    if (passesTls) {
      const heard = hostsFor(bound.virtualService.metadata.namespace, hosts);
      return tls.flatMap(({ match, route }) =>
        match
          .filter((one) => appliesTo(one, port, bound))
          .flatMap((one) => {
            const names = one.sniHosts.flatMap((name) =>
              heard.flatMap(({ host }) => narrowerHost(host, name.toLowerCase()) ?? []),
            );
            return names.length === 0 ? [] : [routeTo(bound, names.map(nameOf), one, route)];
          }),
      );
    }
    const names = kind === "tls" ? own.map(nameOf) : [];
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

import { selectsProxy } from "./credentials.ts";
import { serverKind } from "./gateway-server.ts";
import { hostsOf, indexGatewayServers, type PlacedServer } from "./gateway-servers.ts";
import type { Gateway, GatewayServer } from "./istio/gateway.ts";
import { olderFirst } from "./object.ts";
import type { ReferenceIndex, Report } from "./reference-index.ts";
import { describeRival, isSame } from "./rival.ts";

/**
 * Servers of one gateway that want what only one can have: a port for different things, or one name's TLS. Both Gateways
 * are told; within one it is the later server. Of several rivals one is named.
 */
export function analyzeGatewayConflicts(gateway: Gateway, index: ReferenceIndex, report: Report): void {
  const servers = gateway.spec.servers ?? [];
  const own = indexGatewayServers([gateway]);
  const meets = sharedProxies(gateway, index);
  const others = (found: readonly PlacedServer[]) =>
    found.find((one) => !isSame(one.gateway, gateway) && meets(one.gateway));
  const kept = new Set<GatewayServer>();
  const earlier = (found: readonly PlacedServer[]) => found.find(({ server }) => kept.has(server));
  for (const [at, server] of servers.entries()) {
    const { number, protocol } = server.port;
    const unlike = earlier(own.unlike(server)) ?? others(index.gatewayServers.unlike(server));
    if (unlike !== undefined) {
      const { who, loser } = outcome(gateway, unlike);
      const reason = `is ${number} for ${protocol}, and for ${unlike.server.port.protocol} of ${who}: they cannot share it, so ${loser} is left out`;
      report("object-conflict", `spec.servers[${at}].port`, reason);
      if (loser === THIS) continue;
    }
    kept.add(server);
    if (serverKind(server) !== "https") continue;
    for (const host of hostsOf(server, gateway.metadata.namespace)) {
      const siblings = own.endingTls(server, host).filter((one) => one.server !== server);
      const rival = earlier(siblings) ?? others(index.gatewayServers.endingTls(server, host));
      if (rival === undefined) continue;
      const { who, loser } = outcome(gateway, rival);
      const reason = `has ${host} on port ${number}, as has ${who}: ${loser} takes no callers by that name`;
      report("object-conflict", `spec.servers[${at}].hosts`, reason);
    }
  }
}

const THIS = "this server";

/** Whether some workload is selected by this Gateway and by another one, which is asked for once each. */
function sharedProxies(gateway: Gateway, index: ReferenceIndex): (other: Gateway) => boolean {
  const known = new Map<Gateway, boolean>();
  return (other) => {
    const isShared =
      known.get(other) ??
      index.namespacesOf((labels) => selectsProxy(gateway, labels) && selectsProxy(other, labels)).length > 0;
    known.set(other, isShared);
    return isShared;
  };
}

/** A rival of the same Gateway is an earlier server. */
function outcome(gateway: Gateway, { gateway: other, server }: PlacedServer) {
  if (isSame(gateway, other)) return { who: `spec.servers[${other.spec.servers?.indexOf(server)}]`, loser: THIS };
  return { who: describeRival(gateway, other), loser: olderFirst(gateway, other) < 0 ? "the other" : THIS };
}

import { serverKind } from "./gateway-server.ts";
import { type AmongServers, GatewayServers, hostsOf, type PlacedServer } from "./gateway-servers.ts";
import type { Gateway } from "./istio/gateway.ts";
import { olderFirst } from "./object.ts";
import type { ReferenceIndex, Report } from "./reference-index.ts";
import { describeRival, isSame } from "./rival.ts";

/**
 * Servers of one gateway that want what only one can have: a port for different things, or one name's TLS. Both Gateways
 * are told; within one it is the later server. Of several rivals one is named.
 */
export function analyzeGatewayConflicts(gateway: Gateway, index: ReferenceIndex, report: Report): void {
  const rivals = index.gatewayRivals();
  const others = rivals.beside(gateway);
  // Those before it that are not left out themselves.
  const earlier = new GatewayServers();
  for (const [at, server] of (gateway.spec.servers ?? []).entries()) {
    const { number, protocol } = server.port;
    const unlike = earlier.unlike(server, OWN) ?? rivals.servers.unlike(server, others);
    if (unlike !== undefined) {
      const { who, loser } = outcome(gateway, unlike);
      const reason = `is ${number} for ${protocol}, and for ${unlike.server.port.protocol} of ${who}: they cannot share it, so ${loser} is left out`;
      report("object-conflict", `spec.servers[${at}].port`, reason);
      if (loser === THIS) continue;
    }
    for (const host of serverKind(server) === "https" ? hostsOf(server, gateway.metadata.namespace) : []) {
      const rival = earlier.endingTls(server, host, OWN) ?? rivals.servers.endingTls(server, host, others);
      if (rival === undefined) continue;
      const { who, loser } = outcome(gateway, rival);
      const reason = `has ${host} on port ${number}, as has ${who}: ${loser} takes no callers by that name`;
      report("object-conflict", `spec.servers[${at}].hosts`, reason);
    }
    earlier.add(gateway, server, "own");
  }
}

const OWN: AmongServers = { names: new Set(["own"]), isWanted: () => true };
const THIS = "this server";

/** A rival of the same Gateway is an earlier server. */
function outcome(gateway: Gateway, { gateway: other, server }: PlacedServer) {
  if (isSame(gateway, other)) return { who: `spec.servers[${other.spec.servers?.indexOf(server)}]`, loser: THIS };
  return { who: describeRival(gateway, other), loser: olderFirst(gateway, other) < 0 ? "the other" : THIS };
}

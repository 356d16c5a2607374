import { type AmongServers, GatewayServers } from "./gateway-servers.ts";
import type { Gateway } from "./istio/gateway.ts";
import { isSame } from "./rival.ts";
import { Meetings, selectionKey, type WorkloadIndex } from "./workload-index.ts";

/** The servers of all Gateways, and which of them some workload has beside those of one. */
export interface GatewayRivals {
  readonly servers: GatewayServers;
  /** Those of other Gateways that some workload has beside this one. */
  beside(gateway: Gateway): AmongServers;
}

export function indexGatewayRivals(gateways: readonly Gateway[], workloads: WorkloadIndex): GatewayRivals {
  const selectedBy = ({ spec }: Gateway) => workloads.selected(spec.selector ?? {});
  const nameOf = ({ spec }: Gateway) => selectionKey(spec.selector ?? {});
  const meetings = new Meetings(new Map(gateways.map((gateway) => [nameOf(gateway), selectedBy(gateway)])));
  const servers = new GatewayServers();
  for (const gateway of gateways) {
    for (const server of gateway.spec.servers ?? []) servers.add(gateway, server, nameOf(gateway));
  }
  return {
    servers,
    beside: (gateway) => ({
      names: meetings.with(selectedBy(gateway)),
      isWanted: (other) => !isSame(other.gateway, gateway),
    }),
  };
}

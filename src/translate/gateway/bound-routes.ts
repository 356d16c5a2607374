import { resolveGatewayName, type ServerHost } from "../../mesh/gateway-server.ts";
import { narrowerHost, resolveHost } from "../../mesh/hostname.ts";
import type { VirtualService } from "../../mesh/istio/virtual-service.ts";
import { createRouteBudget, type RouteBudget } from "../../mesh/route-budget.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import { visibleFrom } from "../../mesh/visibility.ts";
import { addToList } from "../../platform/add-to-list.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import { asksWhoCalls, type BoundVirtualService, bindVirtualService } from "../bound-virtual-service.ts";
import type { OutboundScope } from "../scope.ts";
import type { Workload } from "../workload.ts";
import type { BoundServer } from "./served-ports.ts";

/** A host that a server takes, and a VirtualService that routes for it. */
export interface RoutedHost {
  readonly host: string;
  readonly bound: BoundVirtualService;
}

/** Finds what is routed at the servers of one gateway. */
export interface GatewayRoutes {
  /** Names whose they are, for lists that are kept. */
  readonly view: string;
  /**
   * In order of the VirtualServices' age: at a gateway those that share a host are taken together. To be asked once of each
   * server, since what one VirtualService may have at all of them is limited.
   */
  routedHosts(server: BoundServer): readonly RoutedHost[];
}

export interface GatewayRoutesInput {
  readonly mesh: MeshSnapshot;
  readonly workload: Workload;
  readonly scope: OutboundScope;
  readonly view: string;
  readonly cache: BuildCache;
}

export function createGatewayRoutes({ mesh, workload, scope, view, cache }: GatewayRoutesInput): GatewayRoutes {
  const { domain, defaultVirtualServiceExportTo } = mesh.config;
  const visible = mesh.virtualServices.filter(({ metadata, spec }) =>
    visibleFrom(workload.namespace, metadata.namespace, spec.exportTo ?? defaultVirtualServiceExportTo),
  );
  const budget = createRouteBudget();
  const byGateway = virtualServicesByGateway(visible);
  const routedHosts = ({ at, hosts, kind }: BoundServer): readonly RoutedHost[] =>
    (byGateway.get(at) ?? []).flatMap((virtualService) => {
      const common = withinBudget(commonHosts(virtualService, hosts, domain), virtualService, kind, budget);
      if (common.length === 0) return [];
      const caller = asksWhoCalls(virtualService) ? workload : null;
      const bound = bindVirtualService(virtualService, scope, at, caller, domain, cache);
      return common.map((host) => ({ host, bound }));
    });
  return { view, routedHosts };
}

/** Of hosts that a VirtualService routes at a server those whose routes there is room for. */
function withinBudget(
  hosts: readonly string[],
  virtualService: VirtualService,
  kind: BoundServer["kind"],
  budget: RouteBudget,
): readonly string[] {
  if (kind === "http" || kind === "https") return hosts.filter(() => budget.takes(virtualService, "http"));
  // Of connections a server has each route once, whatever hosts share it.
  const hasRoom = hosts.length > 0 && budget.takes(virtualService, "tls") && budget.takes(virtualService, "tcp");
  return hasRoom ? hosts : [];
}

/** In the order of `all`, so that a thousand servers need not ask each of a thousand whether it is theirs. */
function virtualServicesByGateway(all: readonly VirtualService[]): ReadonlyMap<string, readonly VirtualService[]> {
  const found = new Map<string, VirtualService[]>();
  for (const virtualService of all) {
    const { metadata, spec } = virtualService;
    const names = (spec.gateways ?? []).map((text) => resolveGatewayName(text, metadata.namespace));
    for (const name of new Set(names)) addToList(found, name, virtualService);
  }
  return found;
}

/** Of each pair of a VirtualService's host and a server's that cover each other, the narrower. */
function commonHosts({ metadata, spec }: VirtualService, hosts: readonly ServerHost[], domain: string): string[] {
  const taken = hostsFor(metadata.namespace, hosts);
  const common = (spec.hosts ?? []).flatMap((text) => {
    const routed = resolveHost(text, metadata.namespace, domain);
    return taken.flatMap(({ host }) => narrowerHost(host, routed) ?? []);
  });
  return [...new Set(common)];
}

/** Those of a server's hosts for which it hears VirtualServices of this namespace. */
export function hostsFor(namespace: string, hosts: readonly ServerHost[]): readonly ServerHost[] {
  return hosts.filter((host) => host.namespace === "*" || host.namespace === namespace);
}

import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../mesh/mesh-service.ts";
import { isDeclaredHttp } from "../mesh/port-protocol.ts";
import type { RouteBudget } from "../mesh/route-budget.ts";
import type { ServiceEndpoints } from "../mesh/service-endpoints.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { type BoundVirtualService, routesConnections } from "./bound-virtual-service.ts";
import type { ListenerPlace } from "./listener/outbound.ts";
import { buildRoutedChains } from "./listener/routed-chains.ts";
import { buildServiceChain } from "./listener/tcp-chain.ts";
import { outboundClusterName, routeConfigurationName } from "./names.ts";
import type { OutboundListeners } from "./outbound-listeners.ts";
import { type OutboundVariant, viewOf } from "./outbound-variant.ts";
import { buildPodVirtualHost } from "./route/pod-virtual-host.ts";
import type { RouteTables } from "./route/route-tables.ts";
import { buildOnlyVirtualHost, buildServiceVirtualHost } from "./route/virtual-host.ts";
import type { OutboundScope, ScopedService } from "./scope.ts";

export interface EgressDeps {
  readonly config: MeshConfig;
  readonly scope: OutboundScope;
  readonly variant: OutboundVariant;
  /** Of headless services. */
  readonly dialled: ReadonlyMap<MeshService, ServiceEndpoints>;
  readonly cache: BuildCache;
  readonly tables: RouteTables;
  readonly listeners: OutboundListeners;
  readonly budget: RouteBudget;
}

/** A port of a service, as it is seen from one scope. */
export interface EgressPort extends Pick<ScopedService, "service" | "rule"> {
  readonly port: MeshPort;
  /** What routes the service's own host; null for nothing. */
  readonly claiming: BoundVirtualService | null;
  readonly narrower: readonly BoundVirtualService[];
  /** Where any address is dialled; null where that is none of the service's. */
  readonly wide: ListenerPlace | null;
}

interface RoutedPort extends EgressPort {
  /** `claiming`, where there is room for its routes: a port without is one that no VirtualService is for. */
  readonly bound: BoundVirtualService | null;
  /** Those that route connections, the narrower first. */
  readonly routing: readonly BoundVirtualService[];
}

/** Adds a port to the listeners and route tables through which it is reached. */
export function addPort(deps: EgressDeps, found: EgressPort): void {
  const { service, wide, claiming, narrower } = found;
  const { protocol } = found.port;
  const isHttp = isDeclaredHttp(protocol);
  const hasRoom =
    claiming === null || !(isHttp || protocol === "auto") || deps.budget.takes(claiming.virtualService, "http");
  const routing = [...narrower, ...(claiming === null ? [] : [claiming])].filter(routesConnections);
  const port = { ...found, bound: hasRoom ? claiming : null, routing };
  if (isHttp) addHttp(deps, port);
  else if (service.isHeadless && wide?.bindToPort !== true) addDialledPods(deps, port);
  else addAddresses(deps, port);
}

/** Requests find their service by its name, whichever address was dialled. */
function addHttp(deps: EgressDeps, found: RoutedPort): void {
  const { dialled, cache, tables, listeners } = deps;
  const { service, port, wide } = found;
  if (wide === null) return;
  const table = sharedTable(wide);
  addHost(deps, found, table);
  // Who dials the sidecar itself chooses a pod by its name alone, others by its address.
  const asksWhoWasDialled = service.isHeadless && !wide.bindToPort;
  listeners.route(wide, {
    ...toTable(service, table),
    ...{ takesGrpcWeb: port.protocol === "grpc-web", asksWhoWasDialled },
  });
  if (!service.isHeadless || !wide.bindToPort) return;
  const near = isNear(deps, service);
  for (const { hostname, address } of dialled.get(service)?.endpoints ?? []) {
    if (hostname === "") continue;
    tables.add(table, (taken) =>
      taken === "" ? cache.get(buildPodVirtualHost, service, port.number, hostname, address, near) : null,
    );
  }
}

/** Of a headless service, where the application chooses among the pods by their addresses. */
function addDialledPods(deps: EgressDeps, found: RoutedPort): void {
  const { dialled, listeners } = deps;
  const { service, port } = found;
  for (const { address } of dialled.get(service)?.endpoints ?? []) {
    const place = listeners.at(service, address, port.number);
    addChains(deps, found, place, { address });
    if (port.protocol !== "auto") continue;
    const cluster = outboundClusterName(service.hostname, port.number);
    listeners.route(place, { kind: "endpoint", cluster, address });
  }
}

/** By the addresses that the service has, and where it has none by whatever was dialled. */
function addAddresses(deps: EgressDeps, found: RoutedPort): void {
  const { config, variant, cache, tables, listeners } = deps;
  const { service, port, wide, bound } = found;
  const { protocol, number } = port;
  const isBound = wide?.bindToPort === true;
  const made = variant.answersDns ? service.autoAddresses.filter((ip) => variant.hasIpv6 || !ip.includes(":")) : [];
  const addresses = isBound ? [] : [...service.addresses, ...made];
  for (const ip of addresses.filter((text) => !text.includes("/"))) {
    const place = listeners.at(service, ip, number);
    addChains(deps, found, place, {});
    if (protocol !== "auto") continue;
    const table = `${service.hostname}:${number}`;
    tables.add(table, (taken) =>
      taken === "" ? cache.get(buildOnlyVirtualHost, service, number, bound, config) : null,
    );
    listeners.route(place, toTable(service, table));
  }
  if (wide === null) return;
  for (const range of addresses.filter((text) => text.includes("/"))) {
    addChains(deps, found, wide, { serverName: protocol === "tls" ? sniOf(service) : "", range });
  }
  if (addresses.length > 0) return;
  if (protocol === "tls") addChains(deps, found, wide, { serverName: sniOf(service) });
  // An alias has no address of its own: whoever dials its target's is passed on.
  else if (service.kind === "ServiceEntry" || isBound) addChains(deps, found, wide, {});
  if (protocol === "auto") {
    const table = sharedTable(wide);
    addHost(deps, found, table);
    listeners.route(wide, toTable(service, table));
  }
}

/** What a connection is told by, beside its port; "" is for any. */
interface Told {
  readonly serverName?: string;
  readonly range?: string;
  /** A pod's. */
  readonly address?: string;
}

/** Passes connections on: as VirtualServices say, and else to the service. */
function addChains(
  { config, scope, variant, cache, listeners, budget }: EgressDeps,
  { service, port, rule, routing }: RoutedPort,
  place: ListenerPlace,
  { serverName = "", range = "", address = "" }: Told,
): void {
  for (const bound of routing) {
    if (!budget.takes(bound.virtualService, port.protocol === "tls" ? "tls" : "tcp")) continue;
    const rules = bound.destinations.map(({ hostname }) => scope.reachable.get(hostname)?.rule ?? null);
    const { namespace, name } = bound.virtualService.metadata;
    const known = cache.list(`rules ${viewOf(scope, variant)} ${namespace}/${name}`, rules);
    const routed = cache.get(buildRoutedChains, bound, service, port, range, known, config.domain);
    for (const chain of routed) listeners.pass(place, chain);
  }
  listeners.pass(place, cache.get(buildServiceChain, service, port, serverName, range, address, rule));
}

function addHost(deps: EgressDeps, { service, port, bound }: RoutedPort, table: string): void {
  const { cache, config, tables } = deps;
  const near = isNear(deps, service);
  tables.add(table, (taken) => cache.get(buildServiceVirtualHost, service, port.number, bound, near, config, taken));
}

/** Whether the service goes by its short name too. */
function isNear({ scope }: EgressDeps, service: MeshService): boolean {
  return scope.namespace === service.namespace;
}

function toTable(service: MeshService, name: string) {
  return {
    ...{ kind: "table" as const, name, takesGrpcWeb: false, asksWhoWasDialled: false },
    forwardsByHost: service.resolution === "dynamic-dns",
  };
}

/** All HTTP services of a port share its table, but where the sidecar itself listens. */
export function sharedTable({ name, port, bindToPort }: ListenerPlace): string {
  return bindToPort ? name : routeConfigurationName(port);
}

function sniOf({ hostname }: MeshService): string {
  return hostname === "*" ? "" : hostname;
}

import { MESH } from "../mesh/gateway-server.ts";
import type { VirtualService } from "../mesh/istio/virtual-service.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../mesh/mesh-service.ts";
import { isDeclaredHttp } from "../mesh/port-protocol.ts";
import { createRouteBudget, type RouteBudget } from "../mesh/route-budget.ts";
import type { ServiceEndpoints } from "../mesh/service-endpoints.ts";
import { type MeshSnapshot, NO_ENDPOINTS } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { type BoundVirtualService, bindVirtualService, routesConnections } from "./bound-virtual-service.ts";
import { fixedClusters } from "./cluster/fixed.ts";
import { passesThrough } from "./cluster/load-balancing.ts";
import { buildOutboundClusters } from "./cluster/outbound.ts";
import { buildDnsRecord } from "./dns-record.ts";
import { type AssignmentInput, buildAssignmentInputs } from "./endpoint/assignment.ts";
import { dialledEndpoints } from "./endpoint/dialled-endpoints.ts";
import { buildDnsUdp, dnsTcp, dnsTcpIpv6 } from "./listener/dns.ts";
import { buildVirtualOutbound, buildVirtualOutboundIpv6, type ListenerPlace } from "./listener/outbound.ts";
import { buildRoutedChains } from "./listener/routed-chains.ts";
import { buildServiceChain } from "./listener/tcp-chain.ts";
import { outboundClusterName, routeConfigurationName } from "./names.ts";
import { createOutboundListeners, type OutboundListeners } from "./outbound-listeners.ts";
import { buildOutboundPolicy } from "./outbound-policy.ts";
import { configPath } from "./provenance.ts";
import { buildPodVirtualHost } from "./route/pod-virtual-host.ts";
import { buildRouteConfiguration } from "./route/route-configuration.ts";
import { createRouteTables, type RouteTables } from "./route/route-tables.ts";
import { buildHostVirtualHost, buildOnlyVirtualHost, buildServiceVirtualHost } from "./route/virtual-host.ts";
import { type EgressScope, HTTP_PORT, type OutboundScope, type PortScope, type ScopedService } from "./scope.ts";
import type { Workload } from "./workload.ts";

/** Lists that keep their identity while their members are the same. */
export interface SidecarResources {
  readonly clusters: readonly EncodedResource[];
  readonly endpoints: readonly EncodedResource[];
  readonly listeners: readonly EncodedResource[];
  readonly routes: readonly EncodedResource[];
}

/** What all proxies of one scope and variant share; endpoints differ further, by where their proxy stands. */
export interface Outbound extends Omit<SidecarResources, "endpoints"> {
  /** Of every cluster that has its endpoints by EDS. */
  readonly assignments: readonly AssignmentInput[];
  /** Names what it was made for. */
  readonly view: string;
}

/** In what proxies of one scope differ. */
export interface OutboundVariant {
  /** Null where no VirtualService in sight asks who calls. */
  readonly caller: Workload | null;
  readonly hasIpv6: boolean;
  /** The proxy answers the application's DNS queries, so that made-up addresses mean something. */
  readonly answersDns: boolean;
}

/** How a proxy reaches the services it sees. `parts` is for what is built anew only where more than endpoints changed. */
export function translateOutbound(
  mesh: MeshSnapshot,
  scope: OutboundScope,
  variant: OutboundVariant,
  cache: BuildCache,
  parts: BuildCache,
): Outbound {
  const view = viewOf(scope, variant);
  const { caller, hasIpv6, answersDns } = variant;
  const dialled = headlessServices(scope).map((service) => dialledEndpoints(mesh, service, cache));
  const known = cache.list(`dialled ${view}`, dialled);
  return {
    view,
    ...translateClusters(mesh, scope, view, cache),
    ...cache.get(buildWays, scope, mesh.config, known, caller, hasIpv6, answersDns, parts),
  };
}

/** Only these are known by their endpoints' addresses. */
function headlessServices({ reachable }: OutboundScope): MeshService[] {
  return [...reachable.values()].flatMap(({ service }) => (service.isHeadless ? [service] : []));
}

/** What leads to clusters. `endpoints` are those of the headless services, in their order. */
function buildWays(
  scope: OutboundScope,
  config: MeshConfig,
  endpoints: readonly ServiceEndpoints[],
  caller: Workload | null,
  hasIpv6: boolean,
  answersDns: boolean,
  cache: BuildCache,
): Pick<Outbound, "listeners" | "routes"> {
  const variant = { caller, hasIpv6, answersDns };
  const dialled = new Map(headlessServices(scope).map((service, index) => [service, endpoints[index] ?? NO_ENDPOINTS]));
  const policy = cache.get(buildOutboundPolicy, config, scope.sidecar);
  const view = viewOf(scope, variant);
  const tables = createRouteTables();
  const sidecar = scope.sidecar === null ? null : configPath(scope.sidecar);
  const listeners = createOutboundListeners({ hasIpv6, answersDns, config, policy, sidecar, cache });
  const deps = { config, scope, variant, dialled, cache, tables, listeners, budget: createRouteBudget() };
  addEgress(deps, scope, null);
  for (const port of scope.ports) addEgress(deps, port, port.listener);
  const routes = tables.build((name, hosts) =>
    cache.get(buildRouteConfiguration, cache.list(`hosts ${view} ${name}`, hosts), name, policy),
  );
  const all = [cache.get(buildVirtualOutbound, policy), ...listeners.build()];
  if (hasIpv6) all.push(cache.get(buildVirtualOutboundIpv6, policy));
  if (answersDns) all.push(...dnsListeners(dialled, scope, hasIpv6, cache));
  return { listeners: cache.list(`listeners ${view}`, all), routes: cache.list(`routes ${view}`, routes) };
}

/** The clusters of all that a scope reaches, of each service as `seen` tells. */
export function translateClusters(
  mesh: MeshSnapshot,
  { reachable }: Pick<OutboundScope, "reachable">,
  view: string,
  cache: BuildCache,
  seen: (service: MeshService) => MeshService = (service) => service,
): Pick<Outbound, "clusters" | "assignments"> {
  const { config } = mesh;
  const clusters: EncodedResource[] = [...fixedClusters];
  const assignments: AssignmentInput[] = [];
  for (const { service: known, rule } of reachable.values()) {
    const endpoints = mesh.endpointsOf(known.standsFor ?? known);
    const service = seen(known);
    const identities = endpoints.identities.join(",");
    const policies = mesh.peerAuthenticationsFor((known.standsFor ?? known).namespace);
    const inputs = cache.get(buildAssignmentInputs, service, endpoints, rule, policies, config, mesh.networkGateways);
    // A cluster that has its endpoints by EDS is the same whatever they are.
    const isByEds = service.resolution === "endpoints";
    const held = isByEds && (rule === null || !passesThrough(rule)) ? null : inputs;
    clusters.push(...cache.get(buildOutboundClusters, service, rule, identities, config, held));
    if (isByEds) assignments.push(...inputs);
  }
  return {
    clusters: cache.list(`clusters ${view}`, clusters),
    assignments: cache.list(`assignments ${view}`, assignments),
  };
}

function dnsListeners(
  dialled: DialledEndpoints,
  scope: OutboundScope,
  hasIpv6: boolean,
  cache: BuildCache,
): EncodedResource[] {
  const found = [...scope.reachable.values()].flatMap(({ service }) => {
    return cache.get(buildDnsRecord, service, dialled.get(service) ?? NO_ENDPOINTS, hasIpv6) ?? [];
  });
  const records = cache.list(`dns ${scope.namespace} ${scope.sidecar?.metadata.name} ${hasIpv6}`, found);
  const overIpv6 = hasIpv6 ? [cache.get(buildDnsUdp, records, "::1"), dnsTcpIpv6] : [];
  return [cache.get(buildDnsUdp, records, "127.0.0.1"), dnsTcp, ...overIpv6];
}

/** Names what a scope and a variant make, for lists that are kept. */
export function viewOf(
  { namespace, sidecar, ownRules }: OutboundScope,
  { caller, hasIpv6, answersDns }: OutboundVariant,
): string {
  const of = sidecar === null ? "" : `${sidecar.metadata.namespace}/${sidecar.metadata.name}`;
  const rules = ownRules.map(({ metadata }) => metadata.name);
  return `${namespace} ${of} ${rules} ${hasIpv6} ${answersDns} ${caller?.id ?? ""}`;
}

/** Of headless services. */
type DialledEndpoints = ReadonlyMap<MeshService, ServiceEndpoints>;

interface EgressDeps {
  readonly config: MeshConfig;
  readonly scope: OutboundScope;
  readonly variant: OutboundVariant;
  readonly dialled: DialledEndpoints;
  readonly cache: BuildCache;
  readonly tables: RouteTables;
  readonly listeners: OutboundListeners;
  readonly budget: RouteBudget;
}

/** Adds what is reached in general (`listener` is null), or by one port of a Sidecar. */
function addEgress(deps: EgressDeps, egress: EgressScope, listener: PortScope["listener"] | null): void {
  const { config, scope, variant, cache, tables, listeners } = deps;
  const bind = (virtualService: VirtualService) =>
    bindVirtualService(virtualService, scope, MESH, variant.caller, config.domain, cache);
  const placeOf = (port: number) => (listener === null ? listeners.everywhere(port) : listeners.bound(listener));
  if (listener === null || listener.port.number === HTTP_PORT) {
    // What names a host outright goes before the further names and the addresses that services have.
    const table = sharedTable(placeOf(HTTP_PORT));
    for (const { host, virtualService } of egress.extraHosts) {
      tables.claim(table, (taken) =>
        taken === "" ? cache.get(buildHostVirtualHost, bind(virtualService), host, HTTP_PORT, config) : null,
      );
    }
  }
  // Where the Sidecar says what is reached at a port, nothing else is.
  const own = new Set(listener === null ? scope.ports.map((port) => listeners.bound(port.listener)) : []);
  for (const { service, virtualService, narrower, rule } of egress.services) {
    const bound = virtualService === null ? null : bind(virtualService);
    for (const port of service.ports) {
      if (listener !== null && listener.port.number !== port.number) continue;
      const place = placeOf(port.number);
      addPort(deps, { service, port, rule, bound, narrower: narrower.map(bind), wide: own.has(place) ? null : place });
    }
  }
}

/** All HTTP services of a port share its table, but where the sidecar itself listens. */
function sharedTable({ name, port, bindToPort }: ListenerPlace): string {
  return bindToPort ? name : routeConfigurationName(port);
}

interface EgressPort extends Pick<ScopedService, "service" | "rule"> {
  readonly port: MeshPort;
  readonly bound: BoundVirtualService | null;
  readonly narrower: readonly BoundVirtualService[];
  /** Where any address is dialled; null where that is none of the service's. */
  readonly wide: ListenerPlace | null;
}

function addPort(
  { config, scope, variant, dialled, cache, tables, listeners, budget }: EgressDeps,
  { service, port, rule, bound: claiming, narrower, wide }: EgressPort,
): void {
  const { protocol, number } = port;
  const near = scope.namespace === service.namespace;
  const isHttp = isDeclaredHttp(protocol) || protocol === "auto";
  // Without room for its routes a port is one that no VirtualService is for.
  const bound = claiming !== null && (!isHttp || budget.takes(claiming.virtualService, "http")) ? claiming : null;
  const routing = [...narrower, ...(claiming === null ? [] : [claiming])].filter(routesConnections);
  const pass = (place: ListenerPlace, serverName: string, range: string, endpointAddress: string) => {
    for (const bound of routing) {
      if (!budget.takes(bound.virtualService, protocol === "tls" ? "tls" : "tcp")) continue;
      const rules = bound.destinations.map(({ hostname }) => scope.reachable.get(hostname)?.rule ?? null);
      const { namespace, name } = bound.virtualService.metadata;
      const known = cache.list(`rules ${viewOf(scope, variant)} ${namespace}/${name}`, rules);
      const routed = cache.get(buildRoutedChains, bound, service, port, range, known, config.domain);
      for (const chain of routed) listeners.pass(place, chain);
    }
    listeners.pass(place, cache.get(buildServiceChain, service, port, serverName, range, endpointAddress, rule));
  };
  const toTable = (name: string) => ({
    ...{ kind: "table" as const, name, takesGrpcWeb: false, asksWhoWasDialled: false },
    forwardsByHost: service.resolution === "dynamic-dns",
  });
  const addHost = (table: string) =>
    tables.add(table, (taken) => cache.get(buildServiceVirtualHost, service, number, bound, near, config, taken));

  if (isDeclaredHttp(protocol)) {
    if (wide === null) return;
    const table = sharedTable(wide);
    addHost(table);
    // Who dials the sidecar itself chooses a pod by its name alone, others by its address.
    const asksWhoWasDialled = service.isHeadless && !wide.bindToPort;
    listeners.route(wide, { ...toTable(table), takesGrpcWeb: protocol === "grpc-web", asksWhoWasDialled });
    if (!service.isHeadless || !wide.bindToPort) return;
    for (const { hostname, address } of dialled.get(service)?.endpoints ?? []) {
      if (hostname === "") continue;
      tables.add(table, (taken) =>
        taken === "" ? cache.get(buildPodVirtualHost, service, number, hostname, address, near) : null,
      );
    }
    return;
  }
  const isBound = wide?.bindToPort === true;
  if (service.isHeadless && !isBound) {
    for (const { address } of dialled.get(service)?.endpoints ?? []) {
      const place = listeners.at(service, address, number);
      pass(place, "", "", address);
      if (protocol === "auto")
        listeners.route(place, { kind: "endpoint", cluster: outboundClusterName(service.hostname, number), address });
    }
    return;
  }
  const made = variant.answersDns ? service.autoAddresses.filter((ip) => variant.hasIpv6 || !ip.includes(":")) : [];
  const addresses = isBound ? [] : [...service.addresses, ...made];
  const own = addresses.filter((text) => !text.includes("/"));
  for (const ip of own) {
    const place = listeners.at(service, ip, number);
    pass(place, "", "", "");
    if (protocol !== "auto") continue;
    const table = `${service.hostname}:${number}`;
    tables.add(table, (taken) =>
      taken === "" ? cache.get(buildOnlyVirtualHost, service, number, bound, config) : null,
    );
    listeners.route(place, toTable(table));
  }
  if (wide === null) return;
  for (const range of addresses.filter((text) => text.includes("/"))) {
    pass(wide, protocol === "tls" ? sniOf(service) : "", range, "");
  }
  if (addresses.length > 0) return;
  if (protocol === "tls") pass(wide, sniOf(service), "", "");
  // An alias has no address of its own: whoever dials its target's is passed on.
  else if (service.kind === "ServiceEntry" || isBound) pass(wide, "", "", "");
  if (protocol === "auto") {
    const table = sharedTable(wide);
    addHost(table);
    listeners.route(wide, toTable(table));
  }
}

function sniOf({ hostname }: MeshService): string {
  return hostname === "*" ? "" : hostname;
}

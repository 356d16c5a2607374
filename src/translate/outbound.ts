import { MESH } from "../mesh/gateway-server.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { VirtualService } from "../mesh/istio/virtual-service.ts";
import type { MeshPort, MeshService } from "../mesh/mesh-service.ts";
import { isDeclaredHttp } from "../mesh/port-protocol.ts";
import { type MeshSnapshot, NO_ENDPOINTS } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { type BoundVirtualService, bindVirtualService } from "./bound-virtual-service.ts";
import { fixedClusters } from "./cluster/fixed.ts";
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
import type { EgressScope, OutboundScope, PortScope } from "./scope.ts";
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

/** How a proxy reaches the services it sees. */
export function translateOutbound(
  mesh: MeshSnapshot,
  scope: OutboundScope,
  variant: OutboundVariant,
  cache: BuildCache,
): Outbound {
  const { config } = mesh;
  const policy = cache.get(buildOutboundPolicy, config, scope.sidecar);
  const view = viewOf(scope, variant);
  const tables = createRouteTables();
  const sidecar = scope.sidecar === null ? null : configPath(scope.sidecar);
  const listeners = createOutboundListeners({ hasIpv6: variant.hasIpv6, config, policy, sidecar, cache });
  const deps = { mesh, scope, variant, cache, tables, listeners };
  addEgress(deps, scope, null);
  for (const port of scope.ports) addEgress(deps, port, port.listener);
  const routes = tables.build((name, hosts) =>
    cache.get(buildRouteConfiguration, cache.list(`hosts ${view} ${name}`, hosts), name, policy),
  );
  const all = [cache.get(buildVirtualOutbound, policy), ...listeners.build()];
  if (variant.hasIpv6) all.push(cache.get(buildVirtualOutboundIpv6, policy));
  if (variant.answersDns) all.push(...dnsListeners(mesh, scope, variant.hasIpv6, cache));
  return {
    view,
    ...translateClusters(mesh, scope, view, cache),
    listeners: cache.list(`listeners ${view}`, all),
    routes: cache.list(`routes ${view}`, routes),
  };
}

/** The clusters of all that a scope reaches. */
export function translateClusters(
  mesh: MeshSnapshot,
  { reachable }: Pick<OutboundScope, "reachable">,
  view: string,
  cache: BuildCache,
): Pick<Outbound, "clusters" | "assignments"> {
  const { config } = mesh;
  const clusters: EncodedResource[] = [...fixedClusters];
  const assignments: AssignmentInput[] = [];
  for (const { service, rule } of reachable.values()) {
    const endpoints = mesh.endpointsOf(service);
    const identities = endpoints.identities.join(",");
    const policies = mesh.peerAuthenticationsFor(service.namespace);
    const inputs = cache.get(buildAssignmentInputs, service, endpoints, rule, policies, config, mesh.networkGateways);
    // A cluster that has its endpoints by EDS is the same whatever they are.
    const known = service.resolution === "endpoints" ? null : inputs;
    clusters.push(...cache.get(buildOutboundClusters, service, rule, identities, config, known));
    if (known === null) assignments.push(...inputs);
  }
  return {
    clusters: cache.list(`clusters ${view}`, clusters),
    assignments: cache.list(`assignments ${view}`, assignments),
  };
}

function dnsListeners(
  mesh: MeshSnapshot,
  scope: OutboundScope,
  hasIpv6: boolean,
  cache: BuildCache,
): EncodedResource[] {
  const found = [...scope.reachable.values()].flatMap(({ service }) => {
    // Only headless services are known by their endpoints' addresses.
    const endpoints = service.isHeadless ? dialledEndpoints(mesh, service, cache) : NO_ENDPOINTS;
    return cache.get(buildDnsRecord, service, endpoints, hasIpv6) ?? [];
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

interface EgressDeps {
  readonly mesh: MeshSnapshot;
  readonly scope: OutboundScope;
  readonly variant: OutboundVariant;
  readonly cache: BuildCache;
  readonly tables: RouteTables;
  readonly listeners: OutboundListeners;
}

/** Adds what is reached in general (`listener` is null), or by one port of a Sidecar. */
function addEgress(deps: EgressDeps, egress: EgressScope, listener: PortScope["listener"] | null): void {
  const { mesh, scope, variant, cache, tables } = deps;
  const bind = (virtualService: VirtualService) =>
    bindVirtualService(virtualService, scope, MESH, variant.caller, mesh.config.domain, cache);
  const used = new Map<string, number>();
  for (const scoped of egress.services) {
    const { service, virtualService, rule } = scoped;
    const bound = virtualService === null ? null : bind(virtualService);
    for (const port of service.ports) {
      if (listener !== null && listener.port.number !== port.number) continue;
      addPort(deps, service, port, rule, bound, listener, used);
    }
  }
  for (const [table, port] of used) {
    // Of a host that no service has nobody knows the port: Istio takes it to be HTTP's own.
    if (port !== 80) continue;
    for (const { host, virtualService } of egress.extraHosts) {
      tables.add(table, (taken) =>
        taken === "" ? cache.get(buildHostVirtualHost, bind(virtualService), host, port, mesh.config) : null,
      );
    }
  }
}

/** `used` gathers the shared route tables and their ports. */
function addPort(
  { mesh, scope, variant, cache, tables, listeners }: EgressDeps,
  service: MeshService,
  port: MeshPort,
  rule: DestinationRule | null,
  bound: BoundVirtualService | null,
  listener: PortScope["listener"] | null,
  used: Map<string, number>,
): void {
  const { protocol, number } = port;
  const near = scope.namespace === service.namespace;
  const wide = listener === null ? listeners.everywhere(number) : listeners.bound(listener);
  const pass = (place: ListenerPlace, serverName: string, range: string, endpointAddress: string) => {
    if (bound !== null && routesConnections(bound.virtualService)) {
      const rules = bound.destinations.map(({ hostname }) => scope.reachable.get(hostname)?.rule ?? null);
      const { namespace, name } = bound.virtualService.metadata;
      const known = cache.list(`rules ${viewOf(scope, variant)} ${namespace}/${name}`, rules);
      const routed = cache.get(buildRoutedChains, bound, service, port, range, known, mesh.config.domain);
      for (const chain of routed) listeners.pass(place, chain);
    }
    listeners.pass(place, cache.get(buildServiceChain, service, port, serverName, range, endpointAddress, rule));
  };
  const toTable = (name: string) => ({
    ...{ kind: "table" as const, name, takesGrpcWeb: false, asksWhoWasDialled: false },
    forwardsByHost: service.resolution === "dynamic-dns",
  });
  const addHost = (table: string) =>
    tables.add(table, (taken) => cache.get(buildServiceVirtualHost, service, number, bound, near, mesh.config, taken));

  if (isDeclaredHttp(protocol)) {
    const table = listener === null || !wide.bindToPort ? routeConfigurationName(number) : wide.name;
    addHost(table);
    used.set(table, number);
    // Who dials the sidecar itself chooses a pod by its name alone, others by its address.
    const asksWhoWasDialled = service.isHeadless && !wide.bindToPort;
    listeners.route(wide, { ...toTable(table), takesGrpcWeb: protocol === "grpc-web", asksWhoWasDialled });
    if (!service.isHeadless || !wide.bindToPort) return;
    for (const { hostname, address } of dialledEndpoints(mesh, service, cache).endpoints) {
      if (hostname === "") continue;
      tables.add(table, (taken) =>
        taken === "" ? cache.get(buildPodVirtualHost, service, number, hostname, address, near) : null,
      );
    }
    return;
  }
  if (service.isHeadless && !wide.bindToPort) {
    for (const { address } of dialledEndpoints(mesh, service, cache).endpoints) {
      const place = listeners.at(service, address, number);
      pass(place, "", "", address);
      if (protocol === "auto")
        listeners.route(place, { kind: "endpoint", cluster: outboundClusterName(service.hostname, number), address });
    }
    return;
  }
  const made = variant.answersDns ? service.autoAddresses.filter((ip) => variant.hasIpv6 || !ip.includes(":")) : [];
  const addresses = wide.bindToPort ? [] : [...service.addresses, ...made];
  const own = addresses.filter((text) => !text.includes("/"));
  for (const ip of own) {
    const place = listeners.at(service, ip, number);
    pass(place, "", "", "");
    if (protocol !== "auto") continue;
    const table = `${service.hostname}:${number}`;
    tables.add(table, (taken) =>
      taken === "" ? cache.get(buildOnlyVirtualHost, service, number, bound, mesh.config) : null,
    );
    listeners.route(place, toTable(table));
  }
  for (const range of addresses.filter((text) => text.includes("/"))) {
    pass(wide, protocol === "tls" ? sniOf(service) : "", range, "");
  }
  if (addresses.length > 0) return;
  if (protocol === "tls") pass(wide, sniOf(service), "", "");
  // An alias has no address of its own: whoever dials its target's is passed on.
  else if (service.kind === "ServiceEntry" || wide.bindToPort) pass(wide, "", "", "");
  if (protocol === "auto") {
    const table = wide.bindToPort ? wide.name : routeConfigurationName(number);
    addHost(table);
    used.set(table, number);
    listeners.route(wide, toTable(table));
  }
}

function sniOf({ hostname }: MeshService): string {
  return hostname === "*" ? "" : hostname;
}

function routesConnections({ spec }: VirtualService): boolean {
  return (spec.tls ?? []).length + (spec.tcp ?? []).length > 0;
}

import { MESH } from "../mesh/gateway-server.ts";
import type { VirtualService } from "../mesh/istio/virtual-service.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { MeshService } from "../mesh/mesh-service.ts";
import { createRouteBudget } from "../mesh/route-budget.ts";
import type { ServiceEndpoints } from "../mesh/service-endpoints.ts";
import { NO_ENDPOINTS } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { bindVirtualService } from "./bound-virtual-service.ts";
import { buildDnsRecord } from "./dns-record.ts";
import { buildDnsUdp, dnsTcp, dnsTcpIpv6 } from "./listener/dns.ts";
import { buildVirtualOutbound, buildVirtualOutboundIpv6 } from "./listener/outbound.ts";
import { createOutboundListeners } from "./outbound-listeners.ts";
import { buildOutboundPolicy } from "./outbound-policy.ts";
import { addPort, type EgressDeps, sharedTable } from "./outbound-port.ts";
import { viewOf } from "./outbound-variant.ts";
import { configPath } from "./provenance.ts";
import { buildRouteConfiguration } from "./route/route-configuration.ts";
import { createRouteTables } from "./route/route-tables.ts";
import { buildHostVirtualHost } from "./route/virtual-host.ts";
import { type EgressScope, HTTP_PORT, type OutboundScope, type PortScope } from "./scope.ts";
import type { Workload } from "./workload.ts";

/** What leads to clusters; lists that keep their identity while their members are the same. */
interface OutboundWays {
  readonly listeners: readonly EncodedResource[];
  readonly routes: readonly EncodedResource[];
}

/** How a scope's services are reached by proxies of one variant. `endpoints` are those of the headless services, in their order. */
export function buildWays(
  scope: OutboundScope,
  config: MeshConfig,
  endpoints: readonly ServiceEndpoints[],
  caller: Workload | null,
  hasIpv6: boolean,
  answersDns: boolean,
  cache: BuildCache,
): OutboundWays {
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

/** Only these are known by their endpoints' addresses. */
export function headlessServices({ reachable }: OutboundScope): MeshService[] {
  return [...reachable.values()].flatMap(({ service }) => (service.isHeadless ? [service] : []));
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
    const claiming = virtualService === null ? null : bind(virtualService);
    for (const port of service.ports) {
      if (listener !== null && listener.port.number !== port.number) continue;
      const place = placeOf(port.number);
      addPort(deps, {
        service,
        port,
        rule,
        claiming,
        narrower: narrower.map(bind),
        wide: own.has(place) ? null : place,
      });
    }
  }
}

function dnsListeners(
  dialled: EgressDeps["dialled"],
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

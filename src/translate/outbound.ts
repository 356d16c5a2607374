import { resolveHost } from "../mesh/hostname.ts";
import type { VirtualService } from "../mesh/istio/virtual-service.ts";
import type { MeshService } from "../mesh/mesh-service.ts";
import type { ServiceEndpoints } from "../mesh/service-endpoints.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { fixedClusters } from "./cluster/fixed.ts";
import { buildOutboundClusters } from "./cluster/outbound.ts";
import { buildAssignments } from "./endpoint/assignment.ts";
import {
  buildHttpOutbound,
  buildTcpOutbound,
  buildVirtualOutbound,
  routeConfigurationName,
} from "./listener/outbound.ts";
import { isHttp, OWN_PORTS } from "./names.ts";
import { buildRouteConfiguration } from "./route/route-configuration.ts";
import {
  type BoundVirtualService,
  buildHostVirtualHost,
  buildServiceVirtualHost,
  type EncodedVirtualHost,
} from "./route/virtual-host.ts";
import type { OutboundScope } from "./scope.ts";
import type { Workload } from "./workload.ts";

/** Lists that keep their identity while their members are the same. */
export interface SidecarResources {
  readonly clusters: readonly EncodedResource[];
  readonly endpoints: readonly EncodedResource[];
  readonly listeners: readonly EncodedResource[];
  readonly routes: readonly EncodedResource[];
}

/** How a proxy reaches the services it sees. `caller` is null where no VirtualService in sight asks who calls. */
export function translateOutbound(
  mesh: MeshSnapshot,
  scope: OutboundScope,
  caller: Workload | null,
  cache: BuildCache,
): SidecarResources {
  const { config } = mesh;
  const clusters: EncodedResource[] = [...fixedClusters];
  const endpoints: EncodedResource[] = [];
  const listeners: EncodedResource[] = [cache.get(buildVirtualOutbound, config)];
  const virtualHosts = new Map<number, PortHosts>();
  const view = `${scope.namespace} ${caller?.id ?? ""}`;
  const bind = (virtualService: VirtualService) => bindVirtualService(virtualService, mesh, caller, cache);

  for (const { service, virtualService, rule } of scope.services) {
    const known = mesh.endpoints.get(service.hostname) ?? noEndpoints;
    const identities = known.identities.join(",");
    const policies = mesh.peerAuthenticationsFor(service.namespace);
    const bound = virtualService === null ? null : bind(virtualService);
    const near = scope.namespace === service.namespace;
    for (const port of service.ports) {
      clusters.push(...cache.get(buildOutboundClusters, service, port, rule, identities, config));
      endpoints.push(...cache.get(buildAssignments, service, port, known, rule, policies));
      if (isHttp(port)) {
        const build = (taken: string) =>
          cache.get(buildServiceVirtualHost, service, port.number, bound, near, config.domain, taken);
        addService(virtualHosts, port.number, build);
      } else {
        for (const ip of service.addresses) listeners.push(cache.get(buildTcpOutbound, service, port, ip));
      }
    }
  }
  const routes: EncodedResource[] = [];
  for (const [port, { hosts, taken }] of [...virtualHosts].sort(([a], [b]) => a - b)) {
    for (const { host, virtualService } of scope.extraHosts) {
      if (taken.has(host)) continue;
      const virtualHost = cache.get(buildHostVirtualHost, bind(virtualService), host, port, config.domain);
      if (virtualHost !== null) hosts.push(virtualHost);
    }
    const list = cache.list(`hosts ${view} ${port}`, hosts);
    routes.push(cache.get(buildRouteConfiguration, list, routeConfigurationName(port), config));
    // A sidecar's own ports are captured already: a second listener there would be refused.
    if (!OWN_PORTS.has(port)) listeners.push(cache.get(buildHttpOutbound, config, port));
  }
  return {
    clusters: cache.list(`clusters ${view}`, clusters),
    endpoints: cache.list(`endpoints ${view}`, endpoints),
    listeners: cache.list(`listeners ${view}`, listeners),
    routes: cache.list(`routes ${view}`, routes),
  };
}

const noEndpoints: ServiceEndpoints = { endpoints: [], identities: [] };

/** The virtual hosts of one port, and the domains that they claim. */
interface PortHosts {
  readonly hosts: EncodedVirtualHost[];
  readonly taken: Set<string>;
}

/** Domains that an earlier service has are left to it. */
function addService(
  ports: Map<number, PortHosts>,
  port: number,
  build: (taken: string) => EncodedVirtualHost | null,
): void {
  let known = ports.get(port);
  if (known === undefined) {
    known = { hosts: [], taken: new Set() };
    ports.set(port, known);
  }
  const { hosts, taken } = known;
  let virtualHost = build("");
  const lost = virtualHost?.domains.filter((domain) => taken.has(domain)) ?? [];
  if (lost.length > 0) virtualHost = build(lost.join(","));
  if (virtualHost === null) return;
  hosts.push(virtualHost);
  for (const domain of virtualHost.domains) taken.add(domain);
}

/** A VirtualService together with everything else that its routes depend on, keeping its identity. */
function bindVirtualService(
  virtualService: VirtualService,
  mesh: MeshSnapshot,
  caller: Workload | null,
  cache: BuildCache,
): BoundVirtualService {
  const { namespace, name } = virtualService.metadata;
  const hosts = new Set(
    (virtualService.spec.http ?? []).flatMap(({ route = [] }) =>
      route.map(({ destination }) => resolveHost(destination.host, namespace, mesh.config.domain)),
    ),
  );
  const found = [...hosts].sort().flatMap((host) => mesh.services.get(host) ?? []);
  const destinations = cache.list(`destinations of ${namespace}/${name}`, found);
  return cache.get(
    buildBoundVirtualService,
    virtualService,
    destinations,
    asksWhoCalls(virtualService) ? caller : null,
  );
}

function buildBoundVirtualService(
  virtualService: VirtualService,
  destinations: readonly MeshService[],
  caller: Workload | null,
): BoundVirtualService {
  return { virtualService, destinations, caller };
}

/** Whether callers in one namespace may be routed differently. */
export function asksWhoCalls({ spec }: VirtualService): boolean {
  return (spec.http ?? []).some(({ match = [] }) =>
    match.some(({ sourceLabels, sourceNamespace }) => sourceLabels !== undefined || sourceNamespace !== undefined),
  );
}

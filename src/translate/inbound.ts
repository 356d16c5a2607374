import { labelsMatch } from "../mesh/labels.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import type { MeshPort, MeshService, Protocol } from "../mesh/mesh-service.ts";
import { ownValue } from "../mesh/own-value.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { buildInboundCluster } from "./cluster/fixed.ts";
import type { Interception } from "./interception.ts";
import { buildVirtualInbound, type InboundPort } from "./listener/inbound.ts";
import { buildVirtualOutboundIpv6 } from "./listener/outbound.ts";
import { inboundClusterName } from "./names.ts";
import type { SidecarResources } from "./outbound.ts";
import type { Workload } from "./workload.ts";

/** How a proxy lets callers in to the workload beside it, which has the given address. */
export function translateInbound(
  mesh: MeshSnapshot,
  workload: Workload,
  address: string,
  interception: Interception,
  cache: BuildCache,
): Pick<SidecarResources, "clusters" | "listeners"> {
  const { config } = mesh;
  const found = inboundPorts(mesh, workload, address);
  const view = `${workload.id} ${JSON.stringify(found)}`;
  const ports = cache.list(
    `inbound ports ${view}`,
    found.map(([port, protocol]) => cache.get(buildInboundPort, config, port, protocol)),
  );
  const listener = cache.get(
    buildVirtualInbound,
    workload,
    ports,
    mesh.peerAuthenticationsFor(workload.namespace),
    mesh.authorizationPoliciesFor(workload.namespace),
    config,
    interception,
  );
  // Beside it stands the one outbound listener that not every proxy of the same scope can have.
  const listeners = interception.hasIpv6 ? [listener, cache.get(buildVirtualOutboundIpv6, config)] : [listener];
  const clusters = ports.map((port) => cache.get(buildPortCluster, port));
  return {
    clusters: cache.list(`inbound clusters ${view}`, clusters),
    listeners: cache.list(`inbound listeners ${JSON.stringify(interception)} ${view}`, listeners),
  };
}

function buildInboundPort(_config: MeshConfig, port: number, protocol: Protocol): InboundPort {
  return { port, protocol };
}

function buildPortCluster({ port }: InboundPort) {
  return buildInboundCluster(inboundClusterName(port));
}

/**
 * By port. Where Services disagree about one, HTTP that is declared comes before TCP, which may only mean that a port
 * has no name to tell; among equals the first by name counts.
 */
function inboundPorts(mesh: MeshSnapshot, workload: Workload, address: string): [number, Protocol][] {
  const ports = new Map<number, Protocol>();
  for (const service of mesh.servicesIn(workload.namespace)) {
    if (!leadsTo(service, workload, address, mesh)) continue;
    for (const port of service.ports) {
      const number = workloadPort(port, service, workload, address, mesh);
      if (number !== undefined && (ports.get(number) ?? "tcp") === "tcp") ports.set(number, port.protocol);
    }
  }
  return [...ports].sort(([a], [b]) => a - b);
}

function leadsTo(service: MeshService, { labels }: Workload, address: string, mesh: MeshSnapshot): boolean {
  if (service.selector !== undefined && Object.keys(service.selector).length > 0) {
    return labelsMatch(service.selector, labels);
  }
  return endpointAt(service, address, mesh) !== undefined;
}

function workloadPort(
  port: MeshPort,
  service: MeshService,
  { namedPorts }: Workload,
  address: string,
  mesh: MeshSnapshot,
): number | undefined {
  if (typeof port.targetPort === "number") return port.targetPort;
  return ownValue(namedPorts, port.targetPort) ?? ownValue(endpointAt(service, address, mesh)?.ports ?? {}, port.name);
}

function endpointAt(service: MeshService, address: string, mesh: MeshSnapshot) {
  return mesh.endpoints.get(service.hostname)?.endpoints.find((endpoint) => endpoint.address === address);
}

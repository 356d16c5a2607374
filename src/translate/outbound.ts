import type { MeshService } from "../mesh/mesh-service.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { fixedClusters } from "./cluster/fixed.ts";
import { passesThrough } from "./cluster/load-balancing.ts";
import { buildOutboundClusters } from "./cluster/outbound.ts";
import { type AssignmentInput, buildAssignmentInputs } from "./endpoint/assignment.ts";
import { dialledEndpoints } from "./endpoint/dialled-endpoints.ts";
import { type OutboundVariant, viewOf } from "./outbound-variant.ts";
import { buildWays, headlessServices } from "./outbound-ways.ts";
import type { OutboundScope } from "./scope.ts";

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

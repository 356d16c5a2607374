import { holdsAt } from "../mesh/gateway-server.ts";
import { resolveHost } from "../mesh/hostname.ts";
import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { Destination } from "../mesh/istio/fields.ts";
import type { VirtualService } from "../mesh/istio/virtual-service.ts";
import { labelsMatch } from "../mesh/labels.ts";
import type { MeshService } from "../mesh/mesh-service.ts";
import { buildPortPolicy } from "../mesh/port-policy.ts";
import { destinationHosts } from "../mesh/route-destinations.ts";
import { isTopologyLabel } from "../mesh/topology-labels.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import { outboundClusterName } from "./names.ts";
import type { OutboundScope } from "./scope.ts";
import type { Workload } from "./workload.ts";

/** A VirtualService with everything else that its routes depend on. */
export interface BoundVirtualService {
  readonly virtualService: VirtualService;
  /** The services that its destinations name. */
  readonly destinations: readonly MeshService[];
  /** Their rules, in their order, as far as those choose endpoints by a hash: of others no route depends. */
  readonly hashing: readonly (DestinationRule | null)[];
  /** Where it is asked: `mesh`, or a Gateway as `NAMESPACE/NAME`. */
  readonly at: string;
  /** The caller, where the VirtualService asks who calls; else null, so that all callers share what is built. */
  readonly caller: Workload | null;
}

/** Keeps its identity while nothing of it changes. */
export function bindVirtualService(
  virtualService: VirtualService,
  { reachable }: Pick<OutboundScope, "reachable">,
  at: string,
  caller: Workload | null,
  domain: string,
  cache: BuildCache,
): BoundVirtualService {
  const { namespace, name } = virtualService.metadata;
  const found = destinationHosts(virtualService, domain).flatMap((host) => reachable.get(host) ?? []);
  const services = found.map(({ service }) => service);
  const rules = found.map(({ rule }) => (rule !== null && hashes(rule) ? rule : null));
  return cache.get(
    buildBoundVirtualService,
    virtualService,
    cache.list(`destinations of ${namespace}/${name}`, services),
    cache.list(`hashing for ${namespace}/${name}`, rules),
    at,
    asksWhoCalls(virtualService) ? caller : null,
  );
}

function buildBoundVirtualService(
  virtualService: VirtualService,
  destinations: readonly MeshService[],
  hashing: readonly (DestinationRule | null)[],
  at: string,
  caller: Workload | null,
): BoundVirtualService {
  return { virtualService, destinations, hashing, at, caller };
}

function hashes({ spec: { trafficPolicy, subsets = [] } }: DestinationRule): boolean {
  return [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)].some((policy) =>
    [policy, ...(policy?.portLevelSettings ?? [])].some((one) => one?.loadBalancer?.consistentHash !== undefined),
  );
}

/** Whether callers in one namespace may be routed differently. */
export function asksWhoCalls({ spec: { http = [], tls = [], tcp = [] } }: VirtualService): boolean {
  return [...http, ...tls, ...tcp].some(({ match = [] }) =>
    match.some(({ sourceLabels, sourceNamespace }) => sourceLabels !== undefined || sourceNamespace !== undefined),
  );
}

/** Whether it has routes for what carries no requests. */
export function routesConnections({ virtualService: { spec } }: BoundVirtualService): boolean {
  return (spec.tls ?? []).length + (spec.tcp ?? []).length > 0;
}

/** Labels by which callers are told apart that they have from where they run. */
export function askedPlaces({ spec: { http = [], tls = [], tcp = [] } }: VirtualService): string[] {
  return [...http, ...tls, ...tcp].flatMap(({ match = [] }) =>
    match.flatMap(({ sourceLabels = {} }) => Object.keys(sourceLabels).filter(isTopologyLabel)),
  );
}

export interface ResolvedDestination {
  readonly hostname: string;
  readonly port: number;
  readonly cluster: string;
  /** A hash chooses among its endpoints. */
  readonly isHashed: boolean;
}

/** Where a destination is: `port` is the caller's, which counts where neither the destination nor its service says one. */
export function resolveDestination(
  { host, subset, port: wanted }: Destination,
  { virtualService, destinations, hashing }: BoundVirtualService,
  port: number,
  domain: string,
): ResolvedDestination {
  const hostname = resolveHost(host, virtualService.metadata.namespace, domain);
  const index = destinations.findIndex((service) => service.hostname === hostname);
  const ports = destinations[index]?.ports ?? [];
  const number = wanted?.number ?? (ports.length === 1 ? ports[0]?.number : undefined) ?? port;
  const rule = hashing[index] ?? null;
  const named = rule?.spec.subsets?.find(({ name }) => name === subset) ?? null;
  const isHashed = buildPortPolicy(rule, named, number).loadBalancer?.consistentHash !== undefined;
  return { hostname, port: number, cluster: outboundClusterName(hostname, number, subset), isHashed };
}

/** The parts of a match, of requests or connections, that are known before any comes. */
export interface StaticMatch {
  readonly port?: number;
  readonly gateways?: readonly string[];
  readonly sourceNamespace?: string;
  readonly sourceLabels?: Readonly<Record<string, string>>;
}

export function appliesTo(
  match: StaticMatch,
  port: number,
  { virtualService, at, caller }: BoundVirtualService,
): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  const { gateways = [] } = match;
  if (gateways.length > 0 && !holdsAt(gateways, at, virtualService.metadata.namespace)) return false;
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== caller?.namespace) return false;
  return match.sourceLabels === undefined || labelsMatch(match.sourceLabels, caller?.labels ?? {});
}

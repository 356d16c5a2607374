import type { Filter } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { HttpFilter } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { resolveHost } from "../../mesh/hostname.ts";
import { labelsMatch } from "../../mesh/labels.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import { countsGlobally, type RateLimit, rateLimitHost } from "../../mesh/trysail/rate-limit.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import { BLACKHOLE_CLUSTER, outboundClusterName } from "../names.ts";
import { leadsTo, workloadPort } from "../service-ports.ts";
import { findVisibleService } from "../visible-services.ts";
import type { Workload } from "../workload.ts";
import { globalConnections, localConnections } from "./rate-limit-connections.ts";
import { globalRequests, localRequests } from "./rate-limit-requests.ts";
import type { CountingService } from "./rate-limit-service.ts";

/** A RateLimit, and how a proxy reaches whoever counts for it. */
export interface BoundRateLimit {
  readonly policy: RateLimit;
  readonly service: CountingService;
  /** The workload's ports that it is for; null for all. */
  readonly ports: readonly number[] | null;
}

/** What stands in front of one port: `network` before every other filter, `http` before requests are passed on. */
export interface RateLimits {
  readonly http: readonly HttpFilter[];
  readonly network: readonly Filter[];
}

/**
 * The RateLimits of a workload: the mesh's before its namespace's, and in each the older first. All of them count. By its
 * `address` it is found behind Services that select nobody; empty where replicas share what is made.
 */
export function selectRateLimits(
  mesh: MeshSnapshot,
  workload: Workload,
  address: string,
  cache: BuildCache,
): readonly BoundRateLimit[] {
  const { namespace, labels } = workload;
  const policies = mesh.rateLimitsFor(namespace);
  if (policies.length === 0) return NONE;
  const bound: BoundRateLimit[] = [];
  for (const policy of policies) {
    const { selector, targetRefs = [] } = policy.spec;
    const ports = targetRefs.length === 0 ? null : targetPorts(mesh, policy, workload, address);
    if (ports === null ? !labelsMatch(selector?.matchLabels, labels) : ports.length === 0) continue;
    bound.push(cache.get(bindRateLimit, policy, ...serviceOf(mesh, policy, namespace), ports?.join() ?? ""));
  }
  return cache.list(`rate limits ${workload.id} ${bound.map(({ ports }) => ports?.join())}`, bound);
}

/** At which of a workload's ports the Services come in that an object names; those are of its own namespace. */
function targetPorts(
  mesh: MeshSnapshot,
  { metadata, spec }: RateLimit,
  workload: Workload,
  address: string,
): readonly number[] {
  if (metadata.namespace !== workload.namespace) return [];
  const names = new Set((spec.targetRefs ?? []).map(({ name }) => name));
  const ports = mesh
    .servicesIn(metadata.namespace)
    .filter((service) => service.kind === "Service" && names.has(service.name))
    .filter((service) => leadsTo(service, workload, address, mesh))
    .flatMap((service) => service.ports.map((port) => workloadPort(port, service, workload, address, mesh)));
  return [...new Set(ports.filter((port) => port !== undefined))].sort((a, b) => a - b);
}

const NONE: readonly never[] = Object.freeze([]);

/** `ports` are separated by commas; empty for all. */
function bindRateLimit(policy: RateLimit, cluster: string, authority: string, ports: string): BoundRateLimit {
  return { policy, service: { cluster, authority }, ports: ports === "" ? null : ports.split(",").map(Number) };
}

/** Of nobody that the mesh knows there is no cluster: then the answer is the one for when it is away. */
function serviceOf(mesh: MeshSnapshot, policy: RateLimit, namespace: string): [cluster: string, authority: string] {
  if (!countsGlobally(policy)) return [BLACKHOLE_CLUSTER, ""];
  const { host, port } = rateLimitHost(policy.spec, mesh.config.domain);
  const hostname = resolveHost(host, policy.metadata.namespace, mesh.config.domain);
  const service = findVisibleService(mesh, namespace, hostname);
  const isServed = service?.ports.some(({ number }) => number === port) === true;
  return [isServed ? outboundClusterName(hostname, port) : BLACKHOLE_CLUSTER, `${hostname}:${port}`];
}

/** The ports that single limits are for. */
export function limitedPorts(bound: readonly BoundRateLimit[]): readonly number[] {
  return bound
    .filter(({ ports }) => ports === null)
    .flatMap(({ policy: { spec } }) => [...(spec.requests ?? []), ...(spec.connections ?? [])])
    .flatMap(({ ports = [] }) => ports);
}

/** Of one port; undefined stands for all that no Service leads to, and nothing is said of. */
export function buildRateLimits(bound: readonly BoundRateLimit[], port: number | undefined): RateLimits {
  const isAmong = (ports: readonly number[]) => port !== undefined && ports.includes(port);
  const here = bound.filter(({ ports }) => ports === null || isAmong(ports));
  const isHere = ({ ports = [] }: { readonly ports?: readonly number[] }) => ports.length === 0 || isAmong(ports);
  return {
    http: here.flatMap(({ policy, service }) => {
      const limits = (policy.spec.requests ?? []).filter(isHere);
      return [...localRequests(policy, limits), ...globalRequests(policy, limits, service)];
    }),
    network: here.flatMap(({ policy, service }) => {
      const limits = (policy.spec.connections ?? []).filter(isHere);
      return [...localConnections(policy, limits, port), ...globalConnections(policy, limits, service)];
    }),
  };
}

import type { Filter } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { HttpFilter } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { resolveHost } from "../../mesh/hostname.ts";
import { labelsMatch } from "../../mesh/labels.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import { countsGlobally, type RateLimit, rateLimitHost } from "../../mesh/trysail/rate-limit.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import { BLACKHOLE_CLUSTER, outboundClusterName } from "../names.ts";
import { findVisibleService } from "../visible-services.ts";
import type { Workload } from "../workload.ts";
import { globalConnections, localConnections } from "./rate-limit-connections.ts";
import { globalRequests, localRequests } from "./rate-limit-requests.ts";
import type { CountingService } from "./rate-limit-service.ts";

/** A RateLimit, and how a proxy reaches whoever counts for it. */
export interface BoundRateLimit {
  readonly policy: RateLimit;
  readonly service: CountingService;
}

/** What stands in front of one port: `network` before every other filter, `http` before requests are passed on. */
export interface RateLimits {
  readonly http: readonly HttpFilter[];
  readonly network: readonly Filter[];
}

/** The RateLimits of a workload: the mesh's before its namespace's, and in each the older first. All of them count. */
export function selectRateLimits(mesh: MeshSnapshot, workload: Workload, cache: BuildCache): readonly BoundRateLimit[] {
  const { namespace, labels } = workload;
  const policies = mesh.rateLimitsFor(namespace);
  if (policies.length === 0) return NONE;
  const bound = policies
    .filter(({ spec }) => labelsMatch(spec.selector?.matchLabels, labels))
    .map((policy) => cache.get(bindRateLimit, policy, ...serviceOf(mesh, policy, namespace)));
  return cache.list(`rate limits ${workload.id}`, bound);
}

const NONE: readonly never[] = Object.freeze([]);

function bindRateLimit(policy: RateLimit, cluster: string, authority: string): BoundRateLimit {
  return { policy, service: { cluster, authority } };
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

/** Of one port; undefined stands for all that no Service leads to. */
export function buildRateLimits(bound: readonly BoundRateLimit[], port: number | undefined): RateLimits {
  const isHere = ({ ports = [] }: { readonly ports?: readonly number[] }) =>
    ports.length === 0 || (port !== undefined && ports.includes(port));
  return {
    http: bound.flatMap(({ policy, service }) => {
      const limits = (policy.spec.requests ?? []).filter(isHere);
      return [...localRequests(policy, limits), ...globalRequests(policy, limits, service)];
    }),
    network: bound.flatMap(({ policy, service }) => {
      const limits = (policy.spec.connections ?? []).filter(isHere);
      return [...localConnections(policy, limits, port), ...globalConnections(policy, limits, service)];
    }),
  };
}

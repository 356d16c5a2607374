import { create } from "@bufbuild/protobuf";
import type { Filter } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { RetryPolicySchema } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { Protocol } from "../../mesh/port-protocol.ts";
import { onceFor } from "../../platform/once-for.ts";
import type { Authorization } from "../filters/authorization.ts";
import type { RateLimits } from "../filters/rate-limit.ts";
import { INBOUND_PASSTHROUGH_CLUSTER } from "../names.ts";
import { buildDefaultRoute } from "../route/http-route.ts";
import { grpcWeb } from "./grpc-web.ts";
import { httpConnectionManager, tcpProxy } from "./network-filters.ts";
import { unreachedReplies } from "./unreached-replies.ts";

/** What stands in front of a port. */
export interface PortGuards {
  readonly authorization: Pick<Authorization, "http" | "network">;
  readonly limits: RateLimits;
}

/** What requests and connections are handed to. */
export interface Destination {
  readonly cluster: string;
  readonly statPrefix: string;
  readonly protocol: Protocol;
}

export function connectionFilters(
  { cluster }: Pick<Destination, "cluster">,
  { authorization, limits }: PortGuards,
): Filter[] {
  return [...limits.network, ...authorization.network, tcpProxy(cluster)];
}

export function requestFilters(
  { cluster, statPrefix, protocol }: Destination,
  { authorization, limits }: PortGuards,
  config: MeshConfig,
): Filter[] {
  return [
    ...limits.network,
    httpConnectionManager({
      direction: "inbound",
      statPrefix,
      routeSpecifier: inlineRoute(cluster, protocol),
      filters: [...authorization.http, ...limits.http, ...(protocol === "grpc-web" ? [grpcWeb] : [])],
      settings: { localReplyConfig: unreachedReplies },
      config,
    }),
  ];
}

/** Of a port that could carry anything. */
export interface DetectedFilters {
  readonly http: Filter[];
  readonly tcp: Filter[];
}

/** Of whatever no Service leads to. Where nothing stands in front of it, all workloads of a mesh have the same. */
export function passedOnFilters(guards: PortGuards, config: MeshConfig): DetectedFilters {
  const { authorization, limits } = guards;
  const isFree = [authorization, limits].every(({ http, network }) => http.length + network.length === 0);
  return isFree ? unguarded(config) : buildPassedOn(guards, config);
}

const NOTHING = { http: [], network: [] };
const unguarded = onceFor((config: MeshConfig) => buildPassedOn({ authorization: NOTHING, limits: NOTHING }, config));

function buildPassedOn(guards: PortGuards, config: MeshConfig): DetectedFilters {
  return { http: requestFilters(PASSED_ON, guards, config), tcp: connectionFilters(PASSED_ON, guards) };
}

/** Under Istio's name, whichever port it is. */
const PASSED_ON: Destination = {
  cluster: INBOUND_PASSTHROUGH_CLUSTER,
  statPrefix: INBOUND_PASSTHROUGH_CLUSTER,
  protocol: "auto",
};

function inlineRoute(cluster: string, protocol: Protocol) {
  const route = create(RouteConfigurationSchema, {
    name: cluster,
    validateClusters: false,
    virtualHosts: [{ name: "inbound|http", domains: ["*"], routes: [inboundRoute(cluster, protocol)] }],
  });
  return { case: "routeConfig" as const, value: route };
}

/**
 * The caller's sidecar does the retrying, but for what never reached the application: one that closes idle connections
 * may close the very one that a request is about to take. As in Istio, calls of gRPC are left alone.
 */
function inboundRoute(cluster: string, protocol: Protocol) {
  const route = buildDefaultRoute(cluster, null);
  if (route.action.case !== "route") return route;
  const mayBeGrpc = protocol === "http2" || protocol === "grpc-web";
  route.action.value.retryPolicy = mayBeGrpc ? undefined : unreached;
  return route;
}

const unreached = create(RetryPolicySchema, { retryOn: "reset-before-request", numRetries: 2 });

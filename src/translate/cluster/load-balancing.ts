import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type Cluster_SlowStartConfig,
  Cluster_SlowStartConfigSchema,
  type ClusterSchema,
} from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import {
  type RouteAction_HashPolicy,
  RouteAction_HashPolicySchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { MaglevSchema } from "../../gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.ts";
import { RingHashSchema } from "../../gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.ts";
import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { ConsistentHash, LoadBalancerSettings } from "../../mesh/istio/load-balancer.ts";
import { durationOfMs, parseDurationMs, typedConfig } from "../typed-config.ts";

type ClusterInit = MessageInitShape<typeof ClusterSchema>;

/** Whether some cluster that the rule shapes has no endpoints, but goes where its callers dialled. */
export function passesThrough({ spec: { trafficPolicy, subsets = [] } }: Pick<DestinationRule, "spec">): boolean {
  const policies = [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)];
  return policies.some(
    (policy) =>
      isPassthrough(policy) || policy?.portLevelSettings?.some((settings) => isPassthrough(settings)) === true,
  );
}

export function isPassthrough(policy: { readonly loadBalancer?: LoadBalancerSettings } | undefined): boolean {
  return policy?.loadBalancer?.simple === "PASSTHROUGH";
}

/**
 * How a cluster chooses among its endpoints; LEAST_REQUEST where nothing is said, as in Istio. `byShares`: localities
 * have shares, which Envoy asks hashing policies about, and else the cluster.
 */
export function loadBalancing(
  settings: LoadBalancerSettings | undefined,
  byShares: boolean,
): Pick<ClusterInit, "clusterDiscoveryType" | "lbConfig" | "lbPolicy" | "loadBalancingPolicy"> {
  if (settings?.consistentHash !== undefined) return consistentHashing(settings.consistentHash, byShares);
  const warmup = slowStart(settings);
  switch (settings?.simple) {
    case "RANDOM":
      return { lbPolicy: Cluster_LbPolicy.RANDOM };
    case "PASSTHROUGH":
      // To the address that the caller dialled, whatever endpoints there are.
      return {
        clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      };
    case "ROUND_ROBIN":
      return {
        lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
        ...(warmup === undefined
          ? {}
          : { lbConfig: { case: "roundRobinLbConfig", value: { slowStartConfig: warmup } } }),
      };
    default:
      return {
        lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
        ...(warmup === undefined
          ? {}
          : { lbConfig: { case: "leastRequestLbConfig", value: { slowStartConfig: warmup } } }),
      };
  }
}

/** New endpoints get their share bit by bit. */
function slowStart(settings: LoadBalancerSettings | undefined): Cluster_SlowStartConfig | undefined {
  const { warmup, warmupDurationSecs } = settings ?? {};
  const duration = warmup?.duration ?? warmupDurationSecs;
  if (duration === undefined) return undefined;
  return create(Cluster_SlowStartConfigSchema, {
    slowStartWindow: durationOfMs(parseDurationMs(duration)),
    ...(warmup?.aggression === undefined
      ? {}
      : { aggression: { defaultValue: warmup.aggression, runtimeKey: "slow_start.aggression" } }),
    ...(warmup?.minimumPercent === undefined ? {} : { minWeightPercent: { value: warmup.minimumPercent } }),
  });
}

/** Istio's default. */
const MINIMUM_RING_SIZE = 1024;

/**
 * What the key is stands in the cluster, not in routes: so a route does not depend on the rules of its destinations,
 * and connections that are no HTTP have their key as well.
 */
function consistentHashing(hash: ConsistentHash, byShares: boolean): Pick<ClusterInit, "loadBalancingPolicy"> {
  const common = {
    consistentHashingLbConfig: { hashPolicy: [hashPolicy(hash)] },
    ...(byShares ? { localityWeightedLbConfig: {} } : {}),
  };
  if (hash.maglev !== undefined) {
    const { tableSize = 0 } = hash.maglev;
    const size = tableSize === 0 ? {} : { tableSize: BigInt(tableSize) };
    return policy("maglev", typedConfig(MaglevSchema, { ...size, ...common }));
  }
  const minimum = hash.ringHash?.minimumRingSize || hash.minimumRingSize || MINIMUM_RING_SIZE;
  return policy("ring_hash", typedConfig(RingHashSchema, { minimumRingSize: BigInt(minimum), ...common }));
}

function policy(name: string, value: Any): Pick<ClusterInit, "loadBalancingPolicy"> {
  const typedExtensionConfig = { name: `envoy.load_balancing_policies.${name}`, typedConfig: value };
  return { loadBalancingPolicy: { policies: [{ typedExtensionConfig }] } };
}

function hashPolicy(hash: ConsistentHash): RouteAction_HashPolicy {
  return create(RouteAction_HashPolicySchema, { policySpecifier: hashKey(hash) });
}

function hashKey(hash: ConsistentHash): HashKey {
  const { httpHeaderName, httpCookie, httpQueryParameterName } = hash;
  if (httpHeaderName !== undefined) return { case: "header", value: { headerName: httpHeaderName } };
  if (httpQueryParameterName !== undefined) return { case: "queryParameter", value: { name: httpQueryParameterName } };
  if (httpCookie === undefined) return { case: "connectionProperties", value: { sourceIp: true } };
  const { name, path, ttl, attributes = [] } = httpCookie;
  return {
    case: "cookie",
    value: {
      name,
      path: path ?? "",
      ...(ttl === undefined ? {} : { ttl: durationOfMs(parseDurationMs(ttl)) }),
      attributes: attributes.map((attribute) => ({ name: attribute.name, value: attribute.value ?? "" })),
    },
  };
}

type HashKey = MessageInitShape<typeof RouteAction_HashPolicySchema>["policySpecifier"];

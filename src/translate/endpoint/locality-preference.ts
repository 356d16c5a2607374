import type { DestinationRule, Subset } from "../../mesh/istio/destination-rule.ts";
import type { LocalityLbSetting } from "../../mesh/istio/load-balancer.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import { NETWORK_LABEL } from "../../mesh/network-gateways.ts";
import { buildPortPolicy } from "../../mesh/port-policy.ts";
import { NODE_LABEL, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL } from "../../mesh/topology-labels.ts";
import type { TrafficDistribution } from "../../mesh/traffic-distribution.ts";

/** By what endpoints are put in order for a caller: https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/ */
export type LocalityPreference =
  /** What is nearer comes first; what is farther, where the nearer is unhealthy. */
  | { readonly kind: "failover"; readonly failover: NonNullable<LocalityLbSetting["failover"]> }
  /** By how many of these labels, from the first on, a caller and an endpoint share; among equals as by `failover`, if any. */
  | {
      readonly kind: "labels";
      readonly keys: readonly string[];
      readonly failover: NonNullable<LocalityLbSetting["failover"]>;
    }
  /** By shares for each locality. */
  | { readonly kind: "distribute"; readonly distribute: NonNullable<LocalityLbSetting["distribute"]> };

/** https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution */
const DISTRIBUTIONS: Readonly<Record<TrafficDistribution, readonly string[]>> = {
  PreferSameZone: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL],
  PreferSameNode: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, NODE_LABEL],
};

/**
 * Null where all endpoints are equal. A failover needs outlier detection, as only that finds endpoints unhealthy. As in
 * Istio, what a Service says of its traffic's distribution holds where its rule says nothing, and goes before the mesh's.
 */
export function localityPreference(
  service: MeshService,
  port: MeshPort,
  rule: DestinationRule | null,
  subset: Subset | null,
  meshSetting: LocalityLbSetting | null,
): LocalityPreference | null {
  const policy = buildPortPolicy(rule, subset, port.number);
  const own = policy.loadBalancer?.localityLbSetting;
  if (own === undefined && service.trafficDistribution !== undefined)
    return { kind: "labels", keys: DISTRIBUTIONS[service.trafficDistribution], failover: [] };
  const { enabled, distribute = [], failoverPriority = [], failover = [] } = own ?? meshSetting ?? {};
  if (enabled === false) return null;
  if (distribute.length > 0) return { kind: "distribute", distribute };
  if (policy.outlierDetection === undefined) return null;
  return failoverPriority.length > 0
    ? { kind: "labels", keys: failoverPriority, failover }
    : { kind: "failover", failover };
}

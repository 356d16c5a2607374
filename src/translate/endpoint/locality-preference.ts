import type { DestinationRule, Subset } from "../../mesh/istio/destination-rule.ts";
import type { LocalityLbSetting } from "../../mesh/istio/load-balancer.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import { NETWORK_LABEL } from "../../mesh/network-gateways.ts";
import { ownValue } from "../../mesh/own-value.ts";
import { buildPortPolicy } from "../../mesh/port-policy.ts";
import { NODE_LABEL, REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL } from "../../mesh/topology-labels.ts";

/** By what endpoints are put in order for a caller: https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/ */
export type LocalityPreference =
  /** What is nearer comes first; what is farther, where the nearer is unhealthy. */
  | { readonly kind: "failover"; readonly failover: NonNullable<LocalityLbSetting["failover"]> }
  /** By how many of these labels, from the first on, a caller and an endpoint share. */
  | { readonly kind: "labels"; readonly keys: readonly string[] }
  /** By shares for each locality. */
  | { readonly kind: "distribute"; readonly distribute: NonNullable<LocalityLbSetting["distribute"]> };

/** https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution */
const DISTRIBUTIONS: Readonly<Record<string, readonly string[]>> = {
  PreferClose: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL],
  PreferSameZone: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL],
  PreferSameNode: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL, NODE_LABEL],
};

/**
 * Null where all endpoints are equal. A failover needs outlier detection, as only that finds endpoints unhealthy; what a
 * Service says of its traffic's distribution holds where no rule says otherwise.
 */
export function localityPreference(
  service: MeshService,
  port: MeshPort,
  rule: DestinationRule | null,
  subset: Subset | null,
  meshSetting: LocalityLbSetting | null,
): LocalityPreference | null {
  const policy = buildPortPolicy(rule, subset, port.number);
  const setting = policy.loadBalancer?.localityLbSetting ?? meshSetting ?? {};
  if (setting.enabled !== false) {
    if (setting.distribute !== undefined && setting.distribute.length > 0)
      return { kind: "distribute", distribute: setting.distribute };
    if (policy.outlierDetection !== undefined) {
      if (setting.failoverPriority !== undefined && setting.failoverPriority.length > 0)
        return { kind: "labels", keys: setting.failoverPriority };
      return { kind: "failover", failover: setting.failover ?? [] };
    }
  }
  const keys = ownValue(DISTRIBUTIONS, service.trafficDistribution ?? "");
  return keys === undefined ? null : { kind: "labels", keys };
}

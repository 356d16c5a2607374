import type { Locality } from "./locality.ts";
import { NETWORK_LABEL } from "./network-gateways.ts";

/** Where a workload runs. What is not known is empty. */
export interface Place {
  /** By the name that the mesh has for it (`clusterId`). */
  readonly cluster: string;
  readonly network: string;
  readonly locality: Locality;
  readonly nodeName: string;
}

export const CLUSTER_LABEL = "topology.istio.io/cluster";
export const NODE_LABEL = "kubernetes.io/hostname";
export const REGION_LABEL = "topology.kubernetes.io/region";
export const ZONE_LABEL = "topology.kubernetes.io/zone";
export const SUBZONE_LABEL = "topology.istio.io/subzone";

/**
 * Labels that a workload has by where it runs, whoever wrote its pod: subsets, `sourceLabels` and `failoverPriority`
 * may ask for them (https://istio.io/latest/docs/ops/configuration/traffic-management/multicluster/).
 */
const FACTS: ReadonlyMap<string, (place: Place) => string> = new Map([
  [CLUSTER_LABEL, ({ cluster }: Place) => cluster],
  [NETWORK_LABEL, ({ network }: Place) => network],
  [REGION_LABEL, ({ locality }: Place) => locality.region],
  [ZONE_LABEL, ({ locality }: Place) => locality.zone],
  [SUBZONE_LABEL, ({ locality }: Place) => locality.subZone],
  [NODE_LABEL, ({ nodeName }: Place) => nodeName],
]);

export function isTopologyLabel(key: string): boolean {
  return FACTS.has(key);
}

/** A label's value, where the place's own goes before what is written on the workload; undefined where neither has it. */
export function placedLabel(
  key: string,
  workload: Place & { readonly labels: Readonly<Record<string, string>> },
): string | undefined {
  return FACTS.get(key)?.(workload) || workload.labels[key];
}

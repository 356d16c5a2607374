import { onceFor } from "../platform/once-for.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";

/**
 * Clusters that one DestinationRule may ask of a proxy for its subsets, counted at each port of the services that its host
 * covers. Else a wildcard makes of a few kilobytes more than a control plane has memory.
 */
export const MOST_SUBSET_CLUSTERS = 10_000;

/** Keeps account of what is asked of one proxy: gives a service its rule, without subsets where there is no room for them. */
export function createSubsetBudget(): (rule: DestinationRule, ports: number) => DestinationRule {
  const spent = new Map<DestinationRule, number>();
  return (rule, ports) => {
    const all = (spent.get(rule) ?? 0) + ports * (rule.spec.subsets ?? []).length;
    if (all <= MOST_SUBSET_CLUSTERS) {
      spent.set(rule, all);
      return rule;
    }
    return withoutSubsets(rule);
  };
}

/** By rule, since what is built of a rule is kept for as long as it is the same object. */
const withoutSubsets = onceFor(
  (rule: DestinationRule): DestinationRule => ({ ...rule, spec: { ...rule.spec, subsets: [] } }),
);

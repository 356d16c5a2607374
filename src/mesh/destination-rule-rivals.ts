import type { DestinationRule } from "./istio/destination-rule.ts";
import { RivalGroups } from "./rival-groups.ts";

/** Other rules of the same namespace for the same host and callers, which are merged with a rule. */
export interface DestinationRuleRivals {
  /** Those that have a policy as well. */
  withPolicy(rule: DestinationRule): readonly DestinationRule[];
  withSubset(rule: DestinationRule, name: string): readonly DestinationRule[];
}

/** `rules` are in the order in which they are told. */
export function indexDestinationRules(
  rules: readonly DestinationRule[],
  fullName: (host: string, namespace: string) => string,
  { defaultDestinationRuleExportTo }: { readonly defaultDestinationRuleExportTo: readonly string[] },
): DestinationRuleRivals {
  const policies = new RivalGroups<DestinationRule>(defaultDestinationRuleExportTo);
  const subsets = new RivalGroups<DestinationRule>(defaultDestinationRuleExportTo);
  const placeOf = ({ metadata: { namespace }, spec }: DestinationRule) => {
    const callers = Object.entries(spec.workloadSelector?.matchLabels ?? {}).sort();
    return JSON.stringify([namespace, fullName(spec.host, namespace), callers]);
  };
  for (const rule of rules) {
    const place = placeOf(rule);
    if (rule.spec.trafficPolicy !== undefined) policies.add(place, rule);
    for (const name of new Set((rule.spec.subsets ?? []).map((subset) => subset.name))) {
      subsets.add(`${place} ${name}`, rule);
    }
  }
  return {
    withPolicy: (rule) => policies.rivalsOf(placeOf(rule), rule),
    withSubset: (rule, name) => subsets.rivalsOf(`${placeOf(rule)} ${name}`, rule),
  };
}

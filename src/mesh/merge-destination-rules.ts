import type { BuildCache } from "../platform/build-cache.ts";
import { resolveHost } from "./hostname.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";

/**
 * Rules of one namespace for one host, with the same reach and callers, are one rule as in Istio: the subsets of all, and the
 * traffic policy of the first that has one. `rules` come oldest first; of two subsets with one name the older stays.
 */
export function mergeDestinationRules(
  rules: readonly DestinationRule[],
  domain: string,
  cache: BuildCache,
): readonly DestinationRule[] {
  const groups = Map.groupBy(rules, ({ metadata: { namespace }, spec }) =>
    JSON.stringify([
      namespace,
      resolveHost(spec.host, namespace, domain),
      [...(spec.exportTo ?? [])].sort(),
      Object.entries(spec.workloadSelector?.matchLabels ?? {}).sort(),
    ]),
  );
  return [...groups].map(([key, group]) => cache.get(buildMergedRule, cache.list(`rules for ${key}`, group)));
}

function buildMergedRule(group: readonly DestinationRule[]): DestinationRule {
  const [first, ...others] = group;
  if (first === undefined) throw new Error("a group of rules has one at least");
  if (others.length === 0) return first;
  const subsets = new Map(group.toReversed().flatMap(({ spec }) => (spec.subsets ?? []).map((s) => [s.name, s])));
  const trafficPolicy = group.find(({ spec }) => spec.trafficPolicy !== undefined)?.spec.trafficPolicy;
  return { ...first, spec: { ...first.spec, trafficPolicy, subsets: [...subsets.values()] } };
}

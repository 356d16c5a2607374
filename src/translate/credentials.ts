import type { DestinationRule } from "../mesh/istio/destination-rule.ts";
import type { TrafficPolicy } from "../mesh/istio/traffic-policy.ts";

/** The Secrets that rules name for the TLS of a proxy's own, in order and each once. */
export function credentialNames(rules: readonly DestinationRule[]): readonly string[] {
  const policies = rules.flatMap(({ spec }) => [
    spec.trafficPolicy,
    ...(spec.subsets ?? []).map(({ trafficPolicy }) => trafficPolicy),
  ]);
  return [...new Set(policies.flatMap(namesOf))].sort();
}

function namesOf(policy: TrafficPolicy | undefined): string[] {
  const settings = policy === undefined ? [] : [policy, ...(policy.portLevelSettings ?? [])];
  return settings.flatMap(({ tls }) => (tls?.credentialName ? [tls.credentialName] : []));
}

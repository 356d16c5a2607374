import { checkDurations } from "./check-durations.ts";
import { checkTrafficPolicy } from "./check-traffic-policy.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import { error, type Problem, warning } from "./problem.ts";

/** What is wrong inside one DestinationRule of valid shape, Istio's own rules among it. */
export function checkDestinationRule({ spec }: DestinationRule): Problem[] {
  const problems: Problem[] = [];
  const first = new Map<string, number>();
  if (spec.trafficPolicy !== undefined) problems.push(...checkTrafficPolicy(spec.trafficPolicy, "spec.trafficPolicy"));
  for (const [index, { name, trafficPolicy }] of (spec.subsets ?? []).entries()) {
    const path = `spec.subsets[${index}]`;
    const known = first.get(name);
    if (known === undefined) first.set(name, index);
    else {
      const reason = `is ${name}, as spec.subsets[${known}] is called already: give it a name of its own`;
      problems.push(error(`${path}.name`, reason));
    }
    if (trafficPolicy !== undefined) problems.push(...checkTrafficPolicy(trafficPolicy, `${path}.trafficPolicy`));
  }
  const { workloadSelector } = spec;
  if (workloadSelector !== undefined) {
    const labels = Object.entries(workloadSelector.matchLabels ?? {});
    if (labels.length === 0) problems.push(warning("spec.workloadSelector", "is empty, so it selects every caller"));
    if (labels.some(([key, value]) => key === "" || `${key}${value}`.includes("*"))) {
      const reason = "must be labels as workloads have them, without wildcards";
      problems.push(error("spec.workloadSelector.matchLabels", reason));
    }
  }
  if (Object.keys(workloadSelector?.matchLabels ?? {}).length === 0 && namesCredential(spec)) {
    const reason =
      "is missing, so sidecars get no credentialName's secret and their calls fail: select those that may have it";
    problems.push(warning("spec.workloadSelector", reason));
  }
  return [...problems, ...checkDurations(spec, "spec")];
}

function namesCredential(spec: DestinationRule["spec"]): boolean {
  const policies = [spec.trafficPolicy, ...(spec.subsets ?? []).map(({ trafficPolicy }) => trafficPolicy)];
  const settings = policies.flatMap((policy) => [policy, ...(policy?.portLevelSettings ?? [])]);
  return settings.some((each) => (each?.tls?.credentialName ?? "") !== "");
}

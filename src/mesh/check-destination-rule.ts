import { append } from "../platform/append.ts";
import { checkDurations } from "./check-durations.ts";
import { checkExportTo } from "./check-export-to.ts";
import { checkLabels } from "./check-labels.ts";
import { checkTrafficPolicy } from "./check-traffic-policy.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import { error, type Problem, warning } from "./problem.ts";

/** What is wrong inside one DestinationRule of valid shape, Istio's own rules among it. */
export function checkDestinationRule({ metadata, spec }: DestinationRule): Problem[] {
  const problems = checkExportTo(spec.exportTo, metadata.namespace);
  const first = new Map<string, number>();
  if (spec.trafficPolicy !== undefined) append(problems, checkTrafficPolicy(spec.trafficPolicy, "spec.trafficPolicy"));
  for (const [index, { name, labels, trafficPolicy }] of (spec.subsets ?? []).entries()) {
    const path = `spec.subsets[${index}]`;
    const known = first.get(name);
    if (known === undefined) first.set(name, index);
    else {
      const reason = `is ${name}, as spec.subsets[${known}] is called already: give it a name of its own`;
      problems.push(error(`${path}.name`, reason));
    }
    append(problems, checkLabels(labels, `${path}.labels`));
    if (trafficPolicy !== undefined) append(problems, checkTrafficPolicy(trafficPolicy, `${path}.trafficPolicy`));
  }
  const { workloadSelector } = spec;
  if (workloadSelector !== undefined) {
    const { matchLabels = {} } = workloadSelector;
    if (Object.keys(matchLabels).length === 0) {
      problems.push(warning("spec.workloadSelector", "is empty, so it selects every caller"));
    }
    append(problems, checkLabels(matchLabels, "spec.workloadSelector.matchLabels"));
    if ((spec.exportTo ?? []).some((entry) => entry !== "." && entry !== metadata.namespace)) {
      problems.push(error("spec.exportTo", "goes beyond the namespace, where the workloadSelector selects callers"));
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

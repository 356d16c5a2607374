import { analyzeCredentials } from "./analyze-credentials.ts";
import { resolveHost } from "./hostname.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import { olderFirst } from "./object.ts";
import { type ReferenceIndex, type Report, showLabels, unknownHost } from "./reference-index.ts";
import { describeRival } from "./rival.ts";
import { MOST_SUBSET_CLUSTERS } from "./subset-budget.ts";
import { isTopologyLabel } from "./topology-labels.ts";

/** What is wrong between a DestinationRule and the rest of the mesh. */
export function analyzeDestinationRule(rule: DestinationRule, index: ReferenceIndex, report: Report): void {
  const { metadata, spec } = rule;
  analyzeRivals(rule, index, report);
  analyzeCredentials(rule, index, report);
  const callers = spec.workloadSelector?.matchLabels ?? {};
  if (Object.keys(callers).length > 0 && !index.hasWorkload(metadata.namespace, callers)) {
    const reason = `selects callers with ${showLabels(callers)}, but no workload in its namespace has these labels`;
    report("reference-missing", "spec.workloadSelector.matchLabels", reason);
  }
  const ports = index.portsUnder(resolveHost(spec.host, metadata.namespace, index.config.domain));
  const subsets = (spec.subsets ?? []).length;
  if (ports * subsets > MOST_SUBSET_CLUSTERS) {
    const reason = `are ${subsets}, and ${spec.host} covers services of ${ports} ports: more than the ${MOST_SUBSET_CLUSTERS} clusters that a DestinationRule may have for its subsets, so sidecars know them for as many services as there is room for: write fewer, or a narrower host`;
    report("value-invalid", "spec.subsets", reason);
  }
  if (spec.host.startsWith("*")) {
    if (!index.hasServiceLike(spec.host))
      report("reference-missing", "spec.host", `is ${spec.host}, which no Service matches`);
    return;
  }
  const service = index.service(spec.host, metadata.namespace);
  if (service === undefined) {
    report("reference-missing", "spec.host", `names ${unknownHost(spec.host, metadata.namespace, index)}`);
    return;
  }
  if (service.kind !== "Service" || index.workloadsOf(service).length === 0) return;
  const refuses = spec.trafficPolicy?.tls?.mode === "DISABLE" ? index.strictWorkloadOf(service) : undefined;
  if (refuses !== undefined) {
    const reason = `is DISABLE, but a PeerAuthentication makes workloads behind ${spec.host} (${showLabels(refuses.labels)}) take mutual TLS only: they refuse every request`;
    report("value-invalid", "spec.trafficPolicy.tls.mode", reason);
  }
  for (const [at, { name, labels }] of (spec.subsets ?? []).entries()) {
    // What stands for a place is on no pod, and another cluster may be meant.
    const written = Object.fromEntries(Object.entries(labels ?? {}).filter(([key]) => !isTopologyLabel(key)));
    if (index.workloadsOf(service, written).length > 0) continue;
    const reason = `of subset ${name} are ${showLabels(labels ?? {})}, but no workload behind ${spec.host} has them: requests to the subset fail`;
    report("reference-missing", `spec.subsets[${at}].labels`, reason);
  }
}

/** Rules of one namespace for one host and the same callers are merged: what two of them say, the oldest one decides. */
function analyzeRivals(rule: DestinationRule, index: ReferenceIndex, report: Report): void {
  const { spec } = rule;
  const rivals = index.destinationRuleRivals();
  const effect = (rival: DestinationRule) =>
    olderFirst(rule, rival) < 0 ? "the other has no effect" : "this one has no effect";
  for (const rival of spec.trafficPolicy === undefined ? [] : rivals.withPolicy(rule)) {
    const reason = `is said as well for ${spec.host} by ${describeRival(rule, rival)}: ${effect(rival)}`;
    report("object-conflict", "spec.trafficPolicy", reason);
  }
  for (const [at, { name }] of (spec.subsets ?? []).entries()) {
    for (const rival of rivals.withSubset(rule, name)) {
      const reason = `${name} is a subset as well in ${describeRival(rule, rival)}: ${effect(rival)}`;
      if (!report("object-conflict", `spec.subsets[${at}].name`, reason)) return;
    }
  }
}

import type { Service } from "./kubernetes/core.ts";
import { declaredProtocol } from "./port-protocol.ts";
import { saidBy } from "./rate-limit-rivals.ts";
import { type ReferenceIndex, type Report, unknownHost } from "./reference-index.ts";
import { describeRival } from "./rival.ts";
import { countsGlobally, type RateLimit, rateLimitHost } from "./trysail/rate-limit.ts";

/** What is wrong between a RateLimit and the rest of the mesh. */
export function analyzeRateLimit(policy: RateLimit, index: ReferenceIndex, report: Report): void {
  if (countsGlobally(policy)) analyzeService(policy, index, report);
  for (const [at, { name }] of (policy.spec.targetRefs ?? []).entries()) {
    if (targetOf(name, policy, index) !== undefined) continue;
    const reason = `names Service ${name}, but there is none in namespace ${policy.metadata.namespace}: it limits nothing by that`;
    report("reference-missing", `spec.targetRefs[${at}].name`, reason);
  }
  for (const [at, { by = [] }] of (policy.spec.requests ?? []).entries()) {
    const claim = by.findIndex((counted) => "claim" in counted);
    if (claim < 0) continue;
    const reason =
      "asks for a token's claim, but this version verifies no tokens by itself: all requests are counted together";
    report("value-invalid", `spec.requests[${at}].by[${claim}].claim`, reason);
  }
  analyzeRivals(policy, index, report);
}

function analyzeService({ metadata, spec }: RateLimit, index: ReferenceIndex, report: Report): void {
  const { host, port } = rateLimitHost(spec, index.config.domain);
  const found = index.service(host, metadata.namespace);
  const consequence = `requests are answered as failureMode says (${spec.service?.failureMode ?? "ALLOW"})`;
  if (found === undefined) {
    report(
      "reference-missing",
      "spec.service.host",
      `names ${unknownHost(host, metadata.namespace, index)}; until then ${consequence}`,
    );
    return;
  }
  if (found.kind !== "Service") return;
  const known = portsOf(found).find((one) => one.port === port);
  if (known === undefined) {
    report("reference-missing", "spec.service.port", `is ${port}, which ${host} does not have: ${consequence}`);
  } else if (declaredProtocol(known) !== "http2") {
    report("value-invalid", "spec.service.port", `is ${port}, which ${host} does not declare as grpc: ${consequence}`);
  }
}

function targetOf(name: string, { metadata }: RateLimit, index: ReferenceIndex): Service | undefined {
  const found = index.service(`${name}.${metadata.namespace}.svc.${index.config.domain}`, metadata.namespace);
  return found?.kind === "Service" ? found : undefined;
}

function portsOf({ spec }: Service) {
  return spec.ports ?? [];
}

/** All of a workload's objects count: two that say the same are a mistake of somebody's. */
function analyzeRivals(policy: RateLimit, index: ReferenceIndex, report: Report): void {
  for (const rival of policy.spec.showLimits === true ? index.rateLimitRivals("showLimits", policy) : []) {
    const name = describeRival(policy, rival.policy);
    const reason = `is said as well by ${name}: answers of their common workloads show the numbers of both, in no order`;
    report("object-conflict", "spec.showLimits", reason);
  }
  for (const kind of ["requests", "connections"] as const) {
    for (const [at, limit] of (policy.spec[kind] ?? []).entries()) {
      for (const rival of index.rateLimitRivals(saidBy(kind, limit), policy)) {
        const name = describeRival(policy, rival.policy);
        const reason = `counts the same as ${rival.limit} of ${name}: each counts by itself, and the tighter decides`;
        report("object-conflict", `spec.${kind}[${at}]`, reason);
      }
    }
  }
}

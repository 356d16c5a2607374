import type { Service } from "./kubernetes/core.ts";
import { declaredProtocol } from "./port-protocol.ts";
import { type Labels, type ReferenceIndex, type Report, unknownHost } from "./reference-index.ts";
import { describeRival, isSame } from "./rival.ts";
import { countsGlobally, type RateLimit, type RequestLimit, rateLimitHost } from "./trysail/rate-limit.ts";

/** What is wrong between a RateLimit and the rest of the mesh. */
export function analyzeRateLimit(policy: RateLimit, index: ReferenceIndex, report: Report): void {
  if (countsGlobally(policy)) analyzeService(policy, index, report);
  for (const [at, { by = [] }] of (policy.spec.requests ?? []).entries()) {
    const claim = by.findIndex((counted) => "claim" in counted);
    if (claim < 0) continue;
    const reason =
      "asks for a token's claim, but this version verifies no tokens by itself: all requests are counted together";
    report("value-invalid", `spec.requests[${at}].by[${claim}].claim`, reason);
  }
  for (const other of index.rateLimits) {
    if (!isSame(policy, other) && sharesWorkload(policy, other, index)) analyzeRival(policy, other, report);
  }
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

function portsOf({ spec }: Service) {
  return spec.ports ?? [];
}

/** Both select some workload that is there, of the namespace of the narrower one. */
function sharesWorkload(a: RateLimit, b: RateLimit, { config, hasWorkload }: ReferenceIndex): boolean {
  const isRoot = ({ metadata }: RateLimit) => config.rootNamespaces.includes(metadata.namespace);
  if (a.metadata.namespace !== b.metadata.namespace && !isRoot(a) && !isRoot(b)) return false;
  const [own, others] = [labelsOf(a), labelsOf(b)];
  if (Object.entries(own).some(([key, value]) => (others[key] ?? value) !== value)) return false;
  return hasWorkload(isRoot(a) ? b.metadata.namespace : a.metadata.namespace, { ...own, ...others });
}

function labelsOf({ spec }: RateLimit): Labels {
  return spec.selector?.matchLabels ?? {};
}

/** All of a workload's objects count: two that say the same are a mistake of somebody's. */
function analyzeRival(policy: RateLimit, rival: RateLimit, report: Report): void {
  const name = describeRival(policy, rival);
  if (policy.spec.showLimits === true && rival.spec.showLimits === true) {
    const reason = `is said as well by ${name}: answers of their common workloads show the numbers of both, in no order`;
    report("object-conflict", "spec.showLimits", reason);
  }
  for (const kind of ["requests", "connections"] as const) {
    const theirs = new Map((rival.spec[kind] ?? []).map((limit) => [whatIsCounted(limit), limit]));
    for (const [at, limit] of (policy.spec[kind] ?? []).entries()) {
      const same = theirs.get(whatIsCounted(limit));
      if (same === undefined) continue;
      const reason = `counts the same as ${same.name} of ${name}: each counts by itself, and the tighter decides`;
      report("object-conflict", `spec.${kind}[${at}]`, reason);
    }
  }
}

function whatIsCounted({ scope, rate, ports = [], by = [], ...rest }: Omit<RequestLimit, "scope"> & { scope: string }) {
  return JSON.stringify([scope, rate.unit, [...ports].sort(), by, rest.match ?? null]);
}

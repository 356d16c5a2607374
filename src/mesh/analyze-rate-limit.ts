import type { Service } from "./kubernetes/core.ts";
import { declaredProtocol } from "./port-protocol.ts";
import { type Labels, type ReferenceIndex, type Report, unknownHost } from "./reference-index.ts";
import { describeRival, isSame } from "./rival.ts";
import { countsGlobally, type RateLimit, type RequestLimit, rateLimitHost } from "./trysail/rate-limit.ts";

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

function targetOf(name: string, { metadata }: RateLimit, index: ReferenceIndex): Service | undefined {
  const found = index.service(`${name}.${metadata.namespace}.svc.${index.config.domain}`, metadata.namespace);
  return found?.kind === "Service" ? found : undefined;
}

function portsOf({ spec }: Service) {
  return spec.ports ?? [];
}

/** Both select some workload that is there, of the namespace of the narrower one. */
function sharesWorkload(a: RateLimit, b: RateLimit, index: ReferenceIndex): boolean {
  // What names Services reaches no further than its own namespace, even the root namespace's.
  const reachesAll = ({ metadata, spec }: RateLimit) =>
    index.config.rootNamespaces.includes(metadata.namespace) && (spec.targetRefs ?? []).length === 0;
  if (a.metadata.namespace !== b.metadata.namespace && !reachesAll(a) && !reachesAll(b)) return false;
  const namespace = reachesAll(a) ? b.metadata.namespace : a.metadata.namespace;
  return selections(a, index).some((own) =>
    selections(b, index).some(
      (others) =>
        Object.entries(own).every(([key, value]) => (others[key] ?? value) === value) &&
        index.hasWorkload(namespace, { ...own, ...others }),
    ),
  );
}

/** Any of these labels makes a workload one of the object's. */
function selections(policy: RateLimit, index: ReferenceIndex): readonly Labels[] {
  const { selector, targetRefs = [] } = policy.spec;
  if (targetRefs.length === 0) return [selector?.matchLabels ?? {}];
  return targetRefs.flatMap(({ name }) => {
    const labels = targetOf(name, policy, index)?.spec.selector ?? {};
    return Object.keys(labels).length === 0 ? [] : [labels];
  });
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

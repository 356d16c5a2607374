import { NamedItems } from "./named-items.ts";
import { olderFirst } from "./object.ts";
import { isSame, MOST_TOLD } from "./rival.ts";
import type { ConnectionLimit, RateLimit, RequestLimit } from "./trysail/rate-limit.ts";
import { type Labels, Meetings, selectionKey, type Workload, type WorkloadIndex } from "./workload-index.ts";

/** What two RateLimits may say of one workload: that it shows its limits, or what a limit counts. */
export type Said = "showLimits" | `${"requests" | "connections"} ${string}`;

/** Another RateLimit that says the same, and its limit's name. */
export interface RateLimitRival {
  readonly policy: RateLimit;
  readonly limit: string;
}

interface Deps {
  readonly rootNamespaces: readonly string[];
  readonly workloads: WorkloadIndex;
  /** The labels by which a Service that a RateLimit names selects its workloads; none where there is no such Service. */
  targetLabels(name: string, policy: RateLimit): Labels;
}

/** Finds the others that say the same of a workload that a RateLimit holds at; of many the oldest. */
export function indexRateLimits(policies: readonly RateLimit[], deps: Deps) {
  const selected = selections(deps);
  const meetings = new Meetings(
    new Map(policies.map((policy) => [selected(policy).name, selected(policy).workloads] as const)),
  );
  const groups = new Map<Said, NamedItems<RateLimitRival>>();
  for (const policy of [...policies].sort(olderFirst)) {
    for (const [said, limit] of allSaid(policy)) {
      const group = groups.get(said) ?? new NamedItems<RateLimitRival>();
      groups.set(said, group);
      group.add({ policy, limit }, [selected(policy).name]);
    }
  }
  return (said: Said, policy: RateLimit): readonly RateLimitRival[] => {
    const group = groups.get(said);
    if (group === undefined) return [];
    const names = meetings.with(selected(policy).workloads);
    return group.first(MOST_TOLD, names, (other) => !isSame(other.policy, policy));
  };
}

export function saidBy(kind: "requests" | "connections", limit: RequestLimit | ConnectionLimit): Said {
  const { scope, rate, ports = [], by = [] } = limit;
  const match = "match" in limit ? limit.match : undefined;
  return `${kind} ${JSON.stringify([scope, rate.unit, [...ports].sort(), by, match ?? null])}`;
}

function allSaid({ spec }: RateLimit): ReadonlyMap<Said, string> {
  const { requests = [], connections = [] } = spec;
  return new Map<Said, string>([
    ...(spec.showLimits === true ? [["showLimits", ""] as const] : []),
    ...requests.map((limit) => [saidBy("requests", limit), limit.name] as const),
    ...connections.map((limit) => [saidBy("connections", limit), limit.name] as const),
  ]);
}

interface Selected {
  readonly name: string;
  readonly workloads: readonly Workload[];
}

/** The workloads that a RateLimit holds at, under a name that those have alike that select alike. */
function selections({ rootNamespaces, workloads, targetLabels }: Deps): (policy: RateLimit) => Selected {
  const known = new Map<string, readonly Workload[]>();
  return (policy) => {
    const { namespace } = policy.metadata;
    const { selector, targetRefs = [] } = policy.spec;
    if (targetRefs.length === 0) {
      // What names Services reaches no further than its own namespace, even the root namespace's.
      const reach = rootNamespaces.includes(namespace) ? undefined : namespace;
      const labels = selector?.matchLabels ?? {};
      return { name: `${reach ?? "*"} ${selectionKey(labels)}`, workloads: workloads.selected(labels, reach) };
    }
    const targets = targetRefs.map((target) => targetLabels(target.name, policy));
    const selecting = targets.filter((labels) => Object.keys(labels).length > 0);
    const name = `${namespace} of ${selecting.map(selectionKey).sort().join()}`;
    const found = known.get(name) ?? [...new Set(selecting.flatMap((labels) => workloads.selected(labels, namespace)))];
    known.set(name, found);
    return { name, workloads: found };
  };
}

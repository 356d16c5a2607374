import type { KnownObject } from "../mesh/kinds.ts";
import { type RateLimit, type RateUnit, rateLimitDomain } from "../mesh/trysail/rate-limit.ts";

/** One limit of a RateLimit, counted for all proxies together. */
export interface CountedLimit {
  /** `NAMESPACE/OBJECT/LIMIT`. */
  readonly id: string;
  readonly amount: number;
  readonly unit: RateUnit;
  /** It is counted, and refuses nobody. */
  readonly isShadow: boolean;
  /** What a request that it refuses is answered with; empty for Envoy's own answer. */
  readonly body: string;
}

/** By domain, which names a RateLimit, then by the limit's own name. */
export type LimitTable = ReadonlyMap<string, ReadonlyMap<string, CountedLimit>>;

export function buildLimitTable(objects: readonly KnownObject[]): LimitTable {
  const policies = objects.filter((object) => object.kind === "RateLimit");
  return new Map(policies.map((policy) => [rateLimitDomain(policy), limitsOf(policy)]));
}

function limitsOf(policy: RateLimit): ReadonlyMap<string, CountedLimit> {
  const { requests = [], connections = [], exceeded } = policy.spec;
  const global = [...requests, ...connections].filter(({ scope }) => scope === "GLOBAL");
  return new Map(
    global.map(({ name, rate, shadow = false }) => {
      const id = `${rateLimitDomain(policy)}/${name}`;
      return [name, { id, amount: rate.amount, unit: rate.unit, isShadow: shadow, body: exceeded?.body ?? "" }];
    }),
  );
}

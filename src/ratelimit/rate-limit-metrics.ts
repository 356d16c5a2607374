import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { RateLimitServiceDeps } from "./rate-limit-service.ts";

export type RateLimitMetrics = Pick<RateLimitServiceDeps, "counted" | "answered">;

export function createRateLimitMetrics(registry: Registry, isCounting: () => boolean): RateLimitMetrics {
  const registers = [registry];
  const counts = new Counter({
    name: "trysail_ratelimit_counts_total",
    help: "Counts asked for, by limit (NAMESPACE/OBJECT/LIMIT) and outcome: within, over, shadow-over or unknown",
    labelNames: ["limit", "outcome"],
    registers,
  });
  const duration = new Histogram({
    name: "trysail_ratelimit_answer_duration_seconds",
    help: "Time to an answer: ok, over-limit, or the error by which proxies go by their failureMode",
    labelNames: ["result"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1],
    registers,
  });
  new Gauge({
    name: "trysail_ratelimit_store_up",
    help: "1 where the store of the counts answers",
    registers,
    collect() {
      this.set(isCounting() ? 1 : 0);
    },
  });
  return {
    counted: (limit, outcome) => counts.inc({ limit, outcome }),
    answered: (result, durationMs) => duration.observe({ result }, durationMs / 1000),
  };
}

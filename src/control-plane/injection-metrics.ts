import { Counter, Histogram, type Registry } from "prom-client";
import type { AdmissionDeps } from "../injection/routes.ts";

/** Admission reviews by what became of them, and how long they took. */
export function createInjectionMetrics(registry: Registry): NonNullable<AdmissionDeps["metrics"]> {
  const reviews = new Counter({
    name: "trysail_injection_reviews_total",
    help: "Admission reviews of pods by outcome: injected, denied, failed, or the reason for leaving the pod alone",
    labelNames: ["outcome"],
    registers: [registry],
  });
  const duration = new Histogram({
    name: "trysail_injection_review_duration_seconds",
    help: "Time from a whole request to its response",
    buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5],
    registers: [registry],
  });
  const reuses = new Counter({
    name: "trysail_injection_reviews_reused_total",
    help: "Admission reviews of pods that were answered from one before, which asked the same",
    registers: [registry],
  });
  return {
    reviewed({ outcome, durationMs, reused }) {
      reviews.inc({ outcome });
      if (reused) reuses.inc();
      duration.observe(durationMs / 1000);
    },
  };
}

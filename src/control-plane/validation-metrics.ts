import { Counter, Histogram, type Registry } from "prom-client";
import { kindSchemaOf } from "../mesh/schemas.ts";
import type { ValidationDeps } from "../validation/routes.ts";

/** Validation reviews by kind and by what became of them, and how long they took. */
export function createValidationMetrics(registry: Registry): NonNullable<ValidationDeps["metrics"]> {
  const reviews = new Counter({
    name: "trysail_validation_reviews_total",
    help: "Validation reviews by kind and outcome: accepted, warned, denied, ignored or failed",
    labelNames: ["kind", "outcome"],
    registers: [registry],
  });
  const duration = new Histogram({
    name: "trysail_validation_review_duration_seconds",
    help: "Time from a parsed request to its response",
    buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5],
    registers: [registry],
  });
  return {
    validated(kind, outcome, durationMs) {
      // Callers choose the kind, and must not be able to fill the registry with names.
      reviews.inc({ kind: kindSchemaOf(kind) === undefined ? "other" : kind, outcome });
      duration.observe(durationMs / 1000);
    },
  };
}

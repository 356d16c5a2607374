import { Counter, Histogram, type Registry } from "prom-client";
import type { CertifyMetrics } from "../ca/certify.ts";

/** Requests for certificates and tokens by what became of them. */
export function createCaMetrics(registry: Registry): CertifyMetrics {
  const duration = new Histogram({
    name: "trysail_ca_issue_duration_seconds",
    help: "Time from a request to its certificate, waiting included",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1],
    registers: [registry],
  });
  const refusals = new Counter({
    name: "trysail_ca_refusals_total",
    help: "Requests that were refused, by reason",
    labelNames: ["reason"],
    registers: [registry],
  });
  return {
    issued: (durationMs) => duration.observe(durationMs / 1000),
    refused: (reason) => refusals.inc({ reason }),
  };
}

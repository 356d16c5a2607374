import { Counter, type Registry } from "prom-client";
import type { StatusMetrics } from "../kubernetes/status-writer.ts";

/** What became of attempts to write the status of an object. */
export function createStatusMetrics(registry: Registry): StatusMetrics {
  const writes = new Counter({
    name: "trysail_status_writes_total",
    help: "Writes of objects' statuses: written, conflict (tried again), gone, denied by RBAC, refused or failed",
    labelNames: ["result"],
    registers: [registry],
  });
  return { written: (result) => writes.inc({ result }) };
}

import { Counter, type Registry } from "prom-client";
import type { EventRecorderDeps } from "../kubernetes/event-recorder.ts";

/** Events that were never written. */
export function createEventMetrics(registry: Registry): NonNullable<EventRecorderDeps["metrics"]> {
  const dropped = new Counter({
    name: "trysail_kubernetes_events_dropped_total",
    help: "Kubernetes Events that were not written: refused, too many, or the API server was away too long",
    registers: [registry],
  });
  return { dropped: () => dropped.inc() };
}

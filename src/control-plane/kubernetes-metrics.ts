import { Counter, Gauge, type Registry } from "prom-client";
import type { AccessStatus } from "../kubernetes/followed-kind.ts";
import type { KubernetesSourceDeps } from "../kubernetes/kubernetes-source.ts";
import type { RequestMetrics } from "../kubernetes/transport.ts";

/** Whether the news of each kind arrive. */
export function createKubernetesMetrics(registry: Registry): NonNullable<KubernetesSourceDeps["metrics"]> {
  const kinds = new Gauge({
    name: "trysail_kubernetes_kinds",
    help: "1 for how far each kind can be read: synced, starting, polling, forbidden, failing, absent or not-served",
    labelNames: ["kind", "status"],
    registers: [registry],
  });
  const before = new Map<string, AccessStatus>();
  return {
    kindChanged(kind, status) {
      const last = before.get(kind);
      if (last !== undefined) kinds.remove({ kind, status: last });
      before.set(kind, status);
      kinds.set({ kind, status }, 1);
    },
  };
}

/** How the API server answers, so that one that is too busy, refuses or is away can be seen. */
export function createRequestMetrics(registry: Registry): RequestMetrics {
  const requests = new Counter({
    name: "trysail_kubernetes_requests_total",
    help: "Requests to Kubernetes' API server by the status of their answers; none where there was no answer",
    labelNames: ["code"],
    registers: [registry],
  });
  return { requested: (code) => requests.inc({ code }) };
}

/** Whether this replica does what one does for all. */
export function recordLeadership(registry: Registry, isLeader: () => boolean): void {
  new Gauge({
    name: "trysail_leader",
    help: "1 where this replica leads, else 0",
    registers: [registry],
    collect() {
      this.set(isLeader() ? 1 : 0);
    },
  });
}

import { Gauge, type Registry } from "prom-client";
import type { AccessStatus } from "../kubernetes/followed-kind.ts";
import type { KubernetesSourceDeps } from "../kubernetes/kubernetes-source.ts";

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

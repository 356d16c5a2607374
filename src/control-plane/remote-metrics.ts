import { Gauge, type Registry } from "prom-client";
import type { RemoteStatus } from "../kubernetes/remote-source.ts";

/** How far each of the mesh's other clusters is read, looked up when the metrics are asked for. */
export function recordRemotes(registry: Registry, remotes: () => readonly RemoteStatus[]): void {
  new Gauge({
    name: "trysail_remote_clusters",
    help: "1 for how far each other cluster of the mesh is read: synced, waiting or unusable",
    labelNames: ["cluster", "status"],
    registers: [registry],
    collect() {
      this.reset();
      for (const { cluster, status } of remotes()) this.set({ cluster, status }, 1);
    },
  });
}

import { Counter, type Registry } from "prom-client";
import type { BuildCache } from "../platform/build-cache.ts";

/** What changes cost the translator: how much was built anew, and how much was at hand. */
export function createBuildMetrics(registry: Registry, cache: Pick<BuildCache, "built" | "reused">): void {
  new Counter({
    name: "trysail_push_builds_total",
    help: "Parts of proxies' configuration that a change had built anew, or that were at hand",
    labelNames: ["outcome"],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ outcome: "rebuilt" }, cache.built);
      this.inc({ outcome: "reused" }, cache.reused);
    },
  });
}

import type { Report } from "./reference-index.ts";

/** A group by itself is nothing in Istio either; what it has there is that machines which name it register themselves. */
export function analyzeWorkloadGroup(report: Report): void {
  const reason =
    "makes no WorkloadEntries, since machines cannot register themselves yet: write a WorkloadEntry for each machine";
  report("field-unsupported", "spec.template", reason);
}

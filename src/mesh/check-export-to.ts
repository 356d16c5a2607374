import { isDnsLabel } from "./dns-label.ts";
import { error, type Problem } from "./problem.ts";

/** Istio's rules for whom an object is exported to: everybody (`*`), its own namespace (`.`), nobody (`~`), or some. */
export function checkExportTo(exportTo: readonly string[] | undefined, namespace: string): Problem[] {
  const first = new Map<string, number>();
  return (exportTo ?? []).flatMap((entry, index, { length }): Problem[] => {
    const path = `spec.exportTo[${index}]`;
    if (entry === "*" || entry === "~") {
      return length === 1 ? [] : [error(path, `is ${entry}, which says all: keep it alone, or remove it`)];
    }
    const meant = entry === "." ? namespace : entry;
    if (!isDnsLabel(meant)) {
      return [error(path, `must be a namespace, . or *, but is ${JSON.stringify(entry)}`)];
    }
    const known = first.get(meant);
    first.set(meant, known ?? index);
    return known === undefined ? [] : [error(path, `repeats spec.exportTo[${known}]: remove one of them`)];
  });
}

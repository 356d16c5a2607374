import type { Sidecar } from "./istio/sidecar.ts";
import { labelsMatch } from "./labels.ts";
import type { MeshSnapshot } from "./snapshot.ts";

/**
 * The Sidecar of a workload: the oldest of its namespace that selects it, else the oldest there without a selector, else
 * that of the root namespace. A selector in the root namespace reaches no further than that namespace.
 */
export function selectSidecar(
  { sidecarsIn, config }: Pick<MeshSnapshot, "sidecarsIn" | "config">,
  namespace: string,
  labels: Readonly<Record<string, string>>,
): Sidecar | null {
  const own = sidecarsIn(namespace).find(({ spec }) => labelsMatch(spec.workloadSelector?.labels, labels));
  if (own !== undefined) return own;
  for (const root of config.rootNamespaces) {
    const byDefault = sidecarsIn(root).find(({ spec }) => spec.workloadSelector === undefined);
    if (byDefault !== undefined) return byDefault;
  }
  return null;
}

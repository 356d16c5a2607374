import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import { labelsMatch } from "./labels.ts";
import { olderFirst } from "./object.ts";

export type MutualTlsMode = "DISABLE" | "PERMISSIVE" | "STRICT";

/** What a workload asks of its callers, by port. */
export interface MutualTlsModes {
  readonly mode: MutualTlsMode;
  readonly byPort: Readonly<Record<string, MutualTlsMode>>;
}

/**
 * The modes that hold for one workload. `policies` are those of the root namespace and of the workload's own; the
 * narrowest one that sets a mode wins (workload, namespace, mesh), and among equals the oldest, as in Istio. Without
 * any, callers may use plaintext or mutual TLS.
 */
export function buildMutualTlsModes(
  policies: readonly PeerAuthentication[],
  labels: Readonly<Record<string, string>>,
  namespace: string,
): MutualTlsModes {
  const byReach = (reach: "mesh" | "namespace" | "workload") =>
    policies
      .filter((policy) => reachOf(policy, namespace) === reach)
      .filter(({ spec }) => reach !== "workload" || labelsMatch(spec.selector?.matchLabels, labels))
      .sort(olderFirst)[0];
  const workload = byReach("workload");
  const mode =
    set(workload?.spec.mtls?.mode) ??
    set(byReach("namespace")?.spec.mtls?.mode) ??
    set(byReach("mesh")?.spec.mtls?.mode) ??
    "PERMISSIVE";
  const byPort: Record<string, MutualTlsMode> = {};
  for (const [port, { mode: portMode }] of Object.entries(workload?.spec.portLevelMtls ?? {})) {
    byPort[port] = set(portMode) ?? mode;
  }
  return { mode, byPort };
}

function set(mode: MutualTlsMode | "UNSET" | undefined): MutualTlsMode | undefined {
  return mode === "UNSET" ? undefined : mode;
}

/** A policy that selects workloads reaches no further than its own namespace, even the root namespace's. */
function reachOf(
  { metadata, spec }: PeerAuthentication,
  namespace: string,
): "mesh" | "namespace" | "workload" | "none" {
  const near = metadata.namespace === namespace;
  if (Object.keys(spec.selector?.matchLabels ?? {}).length > 0) return near ? "workload" : "none";
  return near ? "namespace" : "mesh";
}

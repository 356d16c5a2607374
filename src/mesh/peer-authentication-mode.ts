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
  const { workload, decides } = policiesOf(policies, labels, namespace);
  const mode = set(decides?.spec.mtls?.mode) ?? "PERMISSIVE";
  const byPort: Record<string, MutualTlsMode> = {};
  for (const [port, { mode: portMode }] of Object.entries(workload?.spec.portLevelMtls ?? {})) {
    byPort[port] = set(portMode) ?? mode;
  }
  return { mode, byPort };
}

/** The policies by which a port of the workload has its mode; `undefined` asks for what no port says of itself. */
export function policiesOfPort(
  policies: readonly PeerAuthentication[],
  labels: Readonly<Record<string, string>>,
  namespace: string,
  port: number | undefined,
): readonly PeerAuthentication[] {
  const { workload, decides } = policiesOf(policies, labels, namespace);
  const own = port === undefined ? undefined : workload?.spec.portLevelMtls?.[port];
  const found = own === undefined ? [decides] : [workload, set(own.mode) === undefined ? decides : undefined];
  return found.filter((policy) => policy !== undefined);
}

/** The workload's own policy, and the one that says the mode of the ports that say nothing of themselves. */
function policiesOf(
  policies: readonly PeerAuthentication[],
  labels: Readonly<Record<string, string>>,
  namespace: string,
) {
  const byReach = (reach: "mesh" | "namespace" | "workload") =>
    policies
      .filter((policy) => reachOf(policy, namespace) === reach)
      .filter(({ spec }) => reach !== "workload" || labelsMatch(spec.selector?.matchLabels, labels))
      .sort(olderFirst)[0];
  const workload = byReach("workload");
  const all = [workload, byReach("namespace"), byReach("mesh")];
  return { workload, decides: all.find((policy) => set(policy?.spec.mtls?.mode) !== undefined) };
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

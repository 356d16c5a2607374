import type { WorkloadIdentity } from "../ca/identity.ts";
import { TrysailError } from "../platform/errors.ts";
import type { ProxyNode } from "./node.ts";

/**
 * A proxy is served what its credentials stand for, not what its node message says: where the two differ, throws
 * `permission-denied` naming the first difference.
 */
export function assertNodeMatches(identity: WorkloadIdentity, node: ProxyNode): void {
  assertEqual("namespace", node.namespace, identity.namespace);
  assertEqual("metadata SERVICE_ACCOUNT", node.metadata.SERVICE_ACCOUNT, identity.serviceAccount);
  if (identity.pod) assertEqual("pod name", node.name, identity.pod.name);
}

function assertEqual(what: string, claimed: unknown, proven: string): void {
  if (claimed === proven) return;
  const said = typeof claimed === "string" ? JSON.stringify(claimed.slice(0, 253)) : "not given";
  throw new TrysailError("permission-denied", `node's ${what} is ${said}, but its credentials are for "${proven}"`);
}

import { parseSpiffeId, spiffeId, type WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";
import type { BoundPod } from "./kubernetes-tokens.ts";

export interface ImpersonationDeps {
  /** Accounts of node agents, as `NAMESPACE/NAME`. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  pod(namespace: string, name: string): BoundPod | undefined;
  /** Throws a Refusal: an agent that is revoked must not go on as somebody else. */
  assertNotRevoked(caller: WorkloadIdentity): void;
  /** Whether any pod of that account is scheduled on the node. */
  runsOnNode(node: string, namespace: string, serviceAccount: string): boolean;
}

/** Answers the identity that `caller` asks for in place of its own; throws a Refusal. */
export type Impersonate = (caller: WorkloadIdentity, wanted: string) => WorkloadIdentity;

/**
 * A trusted node agent may have certificates of the workloads on its own node, and of no others (Istio's
 * `ImpersonatedIdentity`). The caller learns only that it may not; the log learns why.
 */
export function createImpersonate(deps: ImpersonationDeps): Impersonate {
  return (caller, wanted) => {
    const refuse = (problem: string): Refusal => {
      const cause = new Error(`${spiffeId(caller)} asked for ${JSON.stringify(wanted.slice(0, 300))}: ${problem}`);
      return new Refusal("impersonation", "the caller may not have this identity", { cause });
    };
    const account = `${caller.namespace}/${caller.serviceAccount}`;
    if (!deps.trustedNodeAccounts.has(account)) throw refuse("not a trusted node account");
    deps.assertNotRevoked(caller);
    if (caller.pod === undefined) throw refuse("its credentials name no pod");
    const agent = deps.pod(caller.namespace, caller.pod.name);
    if (agent?.uid !== caller.pod.uid || agent.serviceAccount !== caller.serviceAccount)
      throw refuse("its pod is gone");
    if (agent.node === undefined) throw refuse("its pod is on no node");
    const identity = parseSpiffeId(wanted);
    if (identity?.trustDomain !== caller.trustDomain) throw refuse("not a workload of this trust domain");
    if (!deps.runsOnNode(agent.node, identity.namespace, identity.serviceAccount)) {
      throw refuse(`no pod of that account on node ${agent.node}`);
    }
    return identity;
  };
}

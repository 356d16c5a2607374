import type { BoundPod } from "../ca/caller/kubernetes-tokens.ts";
import type { Pod } from "../mesh/kubernetes/core.ts";

/** The mesh's pods as the authority asks for them. */
export interface BoundPods {
  pod(namespace: string, name: string): BoundPod | undefined;
  runsOnNode(node: string, namespace: string, serviceAccount: string): boolean;
}

const DEFAULT_ACCOUNT = "default";

/** `pods` answers those of the current snapshot, by `NAMESPACE/NAME`. */
export function createBoundPods(pods: () => ReadonlyMap<string, Pod>): BoundPods {
  return {
    pod(namespace, name) {
      const pod = pods().get(`${namespace}/${name}`);
      if (pod?.metadata.uid === undefined || hasEnded(pod)) return undefined;
      return { uid: pod.metadata.uid, serviceAccount: accountOf(pod), node: pod.spec.nodeName };
    },
    runsOnNode(node, namespace, serviceAccount) {
      for (const pod of pods().values()) {
        const isThere = pod.spec.nodeName === node && pod.metadata.namespace === namespace;
        if (isThere && accountOf(pod) === serviceAccount && !hasEnded(pod)) return true;
      }
      return false;
    },
  };
}

function accountOf({ spec }: Pod): string {
  return spec.serviceAccountName ?? DEFAULT_ACCOUNT;
}

/** A pod that has run to its end is still there, and nothing of it runs. */
function hasEnded({ status }: Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

import { listAll } from "../../kubernetes/list-all.ts";
import { openRemoteKubeconfig } from "../../kubernetes/remote-kubeconfig.ts";
import { REMOTE_SECRET_LABEL } from "../../kubernetes/remote-source.ts";
import { resourcePath } from "../../kubernetes/resource-path.ts";
import { wantedClusters } from "../../kubernetes/wanted-clusters.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { Check, Outcome } from "./check.ts";

const QUERY = { labelSelector: REMOTE_SECRET_LABEL };

/** Whether the Secrets that name other clusters can be used. Who answers there is asked by the control plane alone. */
export const remoteClusters: Check = {
  name: "clusters",
  when: "after",
  async run({ client, systemNamespace: namespace }) {
    const path = resourcePath({ apiVersion: "v1", resource: "secrets", namespace });
    const { wanted, findings } = wantedClusters(await listAll(client, path, { query: QUERY }), "");
    const outcomes = findings.map(({ message }) => unusable(message));
    for (const [cluster, { secret, kubeconfig }] of wanted) {
      const where = `Secret ${secret} key ${cluster}`;
      try {
        openRemoteKubeconfig(kubeconfig, where).close?.();
        outcomes.push({ status: "pass", message: `${where} is a kubeconfig that can be used` });
      } catch (error) {
        if (!(error instanceof TrysailError)) throw error;
        outcomes.push(unusable(messageOf(error)));
      }
    }
    return outcomes;
  },
};

function unusable(message: string): Outcome {
  const action = "write it anew, or take away the Secret or its label istio/multiCluster: docs/multicluster.md";
  return { status: "fail", message, action };
}

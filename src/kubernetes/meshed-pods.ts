import type { KubernetesClient } from "./client.ts";
import { listAll } from "./list-all.ts";
import type { KubernetesObject } from "./object.ts";

/** Pods that have a sidecar and have not ended; their metadata alone. Gateways have no such label. */
export async function meshedPods(client: Pick<KubernetesClient, "list">): Promise<readonly KubernetesObject[]> {
  const query = {
    labelSelector: "security.istio.io/tlsMode=istio",
    fieldSelector: "status.phase!=Succeeded,status.phase!=Failed",
  };
  const pods = await listAll(client, "/api/v1/pods", { query, metadataOnly: true });
  return pods.filter(({ metadata }) => metadata.annotations?.["sidecar.istio.io/status"] !== undefined);
}

import type { KubernetesClient } from "./client.ts";
import { listAll } from "./list-all.ts";
import { resourcePath } from "./resource-path.ts";

/** Whether there is a pod of that name. By a list, which the control plane may have of pods already, so that it needs no further right. */
export async function podExists(
  client: Pick<KubernetesClient, "list">,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<boolean> {
  const path = resourcePath({ apiVersion: "v1", resource: "pods", namespace });
  const query = { fieldSelector: `metadata.name=${name}` };
  return (await listAll(client, path, { metadataOnly: true, query, signal })).length > 0;
}

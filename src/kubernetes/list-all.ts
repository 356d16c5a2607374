import type { KubernetesClient, ListOptions } from "./client.ts";
import type { KubernetesObject } from "./object.ts";

/** Every object of a collection, for whoever reads it once. Rejects as the client's `list`. */
export async function listAll(
  client: Pick<KubernetesClient, "list">,
  path: string,
  options: ListOptions = {},
): Promise<readonly KubernetesObject[]> {
  const objects: KubernetesObject[] = [];
  for await (const { items } of client.list(path, options)) objects.push(...items);
  return objects;
}

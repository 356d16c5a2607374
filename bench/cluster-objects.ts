import type { KubernetesClient } from "../test/cluster/kubernetes-client.ts";
import type { Manifest } from "./mesh.ts";

/** How many requests the API server has to answer at a time. */
const AT_ONCE = 20;

/** Where an API server keeps objects of a kind. */
export function collectionPath({ apiVersion, kind, metadata: { namespace } }: Manifest): string {
  const root = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  return `${root}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${kind.toLowerCase()}s`;
}

/** Rejects where the API server does not take it. */
export async function postObject(client: KubernetesClient, object: Manifest): Promise<void> {
  const path = collectionPath(object);
  const { status, body } = await client.call("POST", path, object);
  if (status !== 201) throw new Error(`POST ${path}: ${JSON.stringify(body)}`);
}

/** Creates all of them, namespaces first. */
export async function postObjects(client: KubernetesClient, objects: readonly Manifest[]): Promise<void> {
  for (const namespace of objects.filter(({ kind }) => kind === "Namespace")) await postObject(client, namespace);
  const others = objects.filter(({ kind }) => kind !== "Namespace");
  for (let first = 0; first < others.length; first += AT_ONCE) {
    await Promise.all(others.slice(first, first + AT_ONCE).map((object) => postObject(client, object)));
  }
}

/** Changes a part of an object, and resolves when the API server has taken it. */
export async function patchObject(client: KubernetesClient, object: Manifest): Promise<void> {
  const path = `${collectionPath(object)}/${object.metadata.name}`;
  const { status, body } = await client.call("PATCH", path, object, "application/merge-patch+json");
  if (status !== 200) throw new Error(`PATCH ${path}: ${JSON.stringify(body)}`);
}

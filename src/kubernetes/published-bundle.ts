import type { Publication } from "../ca/authority/published-roots.ts";
import { TRUST_BUNDLE_MAP } from "../platform/trust-bundle.ts";
import type { KubernetesClient } from "./client.ts";
import { listAll } from "./list-all.ts";
import { meshedPods } from "./meshed-pods.ts";
import { resourcePath } from "./resource-path.ts";
import { trustBundleIn } from "./trust-bundle-map.ts";

/**
 * Whom the mesh was told to trust, by the ConfigMap in the control plane's namespace. Where that is gone, as it is with the
 * namespace, by those in the namespaces of pods that have a sidecar: what they trust is what a new control plane must sign
 * under. Listed, as the leader must be allowed to anyhow.
 */
export async function readPublishedBundle(
  client: Pick<KubernetesClient, "list">,
  systemNamespace: string,
): Promise<Publication> {
  const query = { fieldSelector: `metadata.name=${TRUST_BUNDLE_MAP}` };
  const maps = await listAll(client, resourcePath({ apiVersion: "v1", resource: "configmaps" }), { query });
  const said = maps
    .map((map) => ({ namespace: map.metadata.namespace ?? "", rootsPem: trustBundleIn(map) }))
    .filter(({ rootsPem }) => rootsPem !== "");
  const own = said.find(({ namespace }) => namespace === systemNamespace);
  if (own !== undefined || said.length === 0) return named(systemNamespace, own?.rootsPem ?? "");
  const pods = await meshedPods(client);
  const meshed = new Set(pods.map(({ metadata }) => metadata.namespace));
  const theirs = said.filter(({ namespace }) => meshed.has(namespace));
  const rootsPem = [...new Set(theirs.map((map) => map.rootsPem))].join("\n");
  return named(theirs[0]?.namespace ?? systemNamespace, rootsPem);
}

function named(namespace: string, rootsPem: string): Publication {
  return { name: `ConfigMap ${namespace}/${TRUST_BUNDLE_MAP}`, rootsPem };
}

import type { KnownObject } from "./kinds.ts";
import { type LabelSelector, selects } from "./label-selector.ts";
import type { MeshConfig } from "./mesh-config.ts";

/** Kubernetes gives every Namespace this label; a folder of manifests may hold none of either. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/**
 * The objects of namespaces that one of the mesh's `discoverySelectors` selects; all where there are none. What belongs
 * to no namespace stays, and so do the root namespaces: a policy for the whole mesh must not be lost by a label.
 */
export function discovered(
  objects: readonly KnownObject[],
  { discoverySelectors, rootNamespaces }: Pick<MeshConfig, "discoverySelectors" | "rootNamespaces">,
): readonly KnownObject[] {
  if (discoverySelectors.length === 0) return objects;
  const labels = new Map(
    objects.flatMap(({ kind, metadata }) => (kind === "Namespace" ? [[metadata.name, metadata.labels ?? {}]] : [])),
  );
  const selected = new Map(rootNamespaces.map((namespace) => [namespace, true]));
  const isSelected = (namespace: string): boolean => {
    const known = selected.get(namespace);
    if (known !== undefined) return known;
    const all = { [NAME_LABEL]: namespace, ...labels.get(namespace) };
    const answer = discoverySelectors.some((selector) => isEmpty(selector) || selects(selector, all));
    selected.set(namespace, answer);
    return answer;
  };
  return objects.filter((object) => isClusterScoped(object) || isSelected(object.metadata.namespace));
}

function isClusterScoped({ kind }: KnownObject): boolean {
  return kind === "Namespace" || kind === "Node";
}

/** As Kubernetes has it, an empty selector selects all. */
function isEmpty({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
}

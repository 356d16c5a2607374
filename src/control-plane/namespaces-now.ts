import type { Namespace } from "../mesh/kubernetes/core.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import type { Source } from "../sources/source.ts";

/**
 * Looks namespaces up as the source has them at this moment. The mesh's snapshot waits for changes that come together, and
 * whoever labels a namespace may make its pods in the same breath: by labels of a moment ago they would be left alone.
 */
export function createNamespacesNow(source: Pick<Source, "current">): (name: string) => Namespace | undefined {
  let seen: ObjectSet["objects"] | undefined;
  let byName: ReadonlyMap<string, Namespace> = new Map();
  return (name) => {
    const { objects } = source.current();
    if (objects !== seen) {
      seen = objects;
      const namespaces = objects.filter((object) => object.kind === "Namespace");
      byName = new Map(namespaces.map((namespace) => [namespace.metadata.name, namespace]));
    }
    return byName.get(name);
  };
}

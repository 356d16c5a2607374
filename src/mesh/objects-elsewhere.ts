import { discovered } from "./discovery-selectors.ts";
import type { KnownObject } from "./kinds.ts";
import type { MeshConfig } from "./mesh-config.ts";
import type { ObjectSet } from "./object-set.ts";

/** What references of this cluster's objects may lead to in other clusters; what is wrong with it is told there. */
export function objectsElsewhere(
  { objects, remotes = [] }: Pick<ObjectSet, "objects" | "remotes">,
  config: Pick<MeshConfig, "discoverySelectors" | "rootNamespaces">,
): readonly KnownObject[] {
  if (remotes.length === 0) return [];
  const own = new Set(objects.filter(({ kind }) => kind === "Service").map(nameOf));
  return remotes.flatMap((remote) =>
    discovered(remote.objects, config).filter(
      (each) => each.kind === "Pod" || (each.kind === "Service" && !own.has(nameOf(each))),
    ),
  );
}

function nameOf({ metadata }: KnownObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

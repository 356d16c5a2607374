import type { KnownObject } from "./kinds.ts";
import type { ObjectSet } from "./object-set.ts";

/** What a snapshot's outline is made of: everything that is no endpoint and no pod. */
export function outlinedObjects({ objects, remotes = [], addresses = new Map() }: ObjectSet): readonly unknown[] {
  const elsewhere = remotes.flatMap((remote) => [remote.cluster, ...remote.objects.filter(isOutlined)]);
  return [...objects.filter(isOutlined), ...elsewhere, ...[...addresses].flat()];
}

function isOutlined({ kind }: KnownObject): boolean {
  return kind !== "EndpointSlice" && kind !== "Pod";
}

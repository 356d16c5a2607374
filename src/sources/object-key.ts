import type { ObjectRef } from "../mesh/finding.ts";
import { type MeshObject, refOf } from "../mesh/object.ts";
import { onceFor } from "../platform/once-for.ts";

/**
 * One text for kind, namespace and name, which sorts as the three do. Remembered, since joining and hashing thousands of
 * them at each change would cost more.
 */
export const objectKey = onceFor((object: MeshObject): string => refKey(refOf(object)));

export function refKey({ kind, namespace, name }: ObjectRef): string {
  return `${kind}\0${namespace}\0${name}`;
}

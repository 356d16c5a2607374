import type { ObjectRef } from "../mesh/finding.ts";
import { type MeshObject, refOf } from "../mesh/object.ts";

/** Joining and hashing thousands of keys at each change would cost more than remembering them. */
const keys = new WeakMap<MeshObject, string>();

/** One text for kind, namespace and name, which sorts as the three do. */
export function objectKey(object: MeshObject): string {
  let key = keys.get(object);
  if (key === undefined) {
    key = refKey(refOf(object));
    keys.set(object, key);
  }
  return key;
}

export function refKey({ kind, namespace, name }: ObjectRef): string {
  return `${kind}\0${namespace}\0${name}`;
}

import { describeObject } from "./finding.ts";
import { type MeshObject, olderFirst, refOf } from "./object.ts";
import { visibleFrom } from "./visibility.ts";

/** An object that says something of the same host as another one. */
type Rival = MeshObject & { readonly spec: { readonly exportTo?: readonly string[] } };

/** The others of `candidates` that some namespace sees beside `object`, which may be a newer version of one of them. */
export function rivalsOf<R extends Rival>(object: R, candidates: readonly R[]): readonly R[] {
  return candidates.filter((other) => !isSame(object, other) && isSeenTogether(object, other));
}

/** `DestinationRule shop/a, which is older and goes first`, for the older one the other way about. */
export function describeRival(object: MeshObject, other: MeshObject): string {
  const name = describeObject(refOf(other));
  return goesFirst(object, other) ? `${name}, which is younger` : `${name}, which is older and goes first`;
}

/** What is not stored yet will be the youngest. */
export function goesFirst(object: MeshObject, other: MeshObject): boolean {
  const [own, others] = [object.metadata.creationTimestamp, other.metadata.creationTimestamp];
  if (own === undefined && others !== undefined) return false;
  return olderFirst(object, other) < 0;
}

/** Whether they are versions of one object. */
export function isSame(a: MeshObject, b: MeshObject): boolean {
  return a.metadata.namespace === b.metadata.namespace && a.metadata.name === b.metadata.name;
}

/** Whether some namespace is shown both; one that neither names stands for all others. */
function isSeenTogether(a: Rival, b: Rival): boolean {
  const named = [a, b].flatMap(({ metadata, spec }) => [metadata.namespace, ...(spec.exportTo ?? [])]);
  const anyOther = "";
  return [...named, anyOther].some((viewer) =>
    [a, b].every(({ metadata, spec }) => visibleFrom(viewer, metadata.namespace, spec.exportTo)),
  );
}

import { describeObject } from "./finding.ts";
import { type MeshObject, olderFirst, refOf } from "./object.ts";
import { exportedTo, exportRank, visibleFrom } from "./visibility.ts";

/** An object that says something of the same host as another one. */
type Rival = MeshObject & { readonly spec: { readonly exportTo?: readonly string[] } };

/**
 * The others of `candidates` that some namespace sees beside `object`, which may be a newer version of one of them.
 * `byDefault` is where those are exported to that do not say it.
 */
export function rivalsOf<R extends Rival>(
  object: R,
  candidates: readonly R[],
  byDefault: readonly string[],
): readonly R[] {
  return candidates.filter((other) => !isSame(object, other) && commonViewers(object, other, byDefault).length > 0);
}

/** `DestinationRule shop/a, which is older and goes first`, for the older one the other way about. */
export function describeRival(object: MeshObject, other: MeshObject): string {
  const name = describeObject(refOf(other));
  return goesFirst(object, other) ? `${name}, which is younger` : `${name}, which is older and goes first`;
}

/**
 * The same of VirtualServices, of which the one that is exported more narrowly goes first, and what that means to
 * sidecars that see both.
 */
export function describePrecedence(object: Rival, other: Rival, byDefault: readonly string[]): string {
  const own = exportedTo(object.spec.exportTo, byDefault);
  const others = exportedTo(other.spec.exportTo, byDefault);
  const outcomes = new Set(
    commonViewers(object, other, byDefault).map((viewer) =>
      Math.sign(
        exportRank(viewer, object.metadata.namespace, own) - exportRank(viewer, other.metadata.namespace, others),
      ),
    ),
  );
  const name = describeObject(refOf(other));
  if (outcomes.has(-1) && outcomes.has(1)) return `${name}: each goes first in its own namespace`;
  const seenByBoth = "for sidecars that see both";
  if (outcomes.has(-1)) return `${name}, which is exported more widely: the other has no effect ${seenByBoth}`;
  if (outcomes.has(1))
    return `${name}, which is exported more narrowly and goes first: this one has no effect ${seenByBoth}`;
  const effect = goesFirst(object, other) ? "the other has no effect" : "this one has no effect";
  return `${describeRival(object, other)}: ${effect} ${seenByBoth}`;
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

/** The namespaces that are shown both; the empty text stands for all that neither names. */
function commonViewers(a: Rival, b: Rival, byDefault: readonly string[]): readonly string[] {
  const all = [a, b].map(({ metadata, spec }) => ({
    owner: metadata.namespace,
    exportTo: exportedTo(spec.exportTo, byDefault),
  }));
  // `.`, `*` and `~` name nobody.
  const named = all.flatMap(({ owner, exportTo }) => [owner, ...exportTo.filter((entry) => !/^[.*~]$/.test(entry))]);
  return [...new Set([...named, ""])].filter((viewer) =>
    all.every(({ owner, exportTo }) => visibleFrom(viewer, owner, exportTo)),
  );
}

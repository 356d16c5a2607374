import { describeObject } from "./finding.ts";
import { type MeshObject, olderFirst, refOf } from "./object.ts";
import { exportedTo, exportRank } from "./visibility.ts";

/** An object that says something of the same host as another one. */
export type Rival = MeshObject & { readonly spec: { readonly exportTo?: readonly string[] } };

/** A host of a thousand objects must not make a million findings. */
export const MOST_TOLD = 3;

/** `DestinationRule shop/a, which is older and goes first`, for the older one the other way about. */
export function describeRival(object: MeshObject, other: MeshObject): string {
  const name = describeObject(refOf(other));
  return olderFirst(object, other) < 0 ? `${name}, which is younger` : `${name}, which is older and goes first`;
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
  const effect = olderFirst(object, other) < 0 ? "the other has no effect" : "this one has no effect";
  return `${describeRival(object, other)}: ${effect} ${seenByBoth}`;
}

/** Whether they are versions of one object. */
export function isSame(a: MeshObject, b: MeshObject): boolean {
  return a.metadata.namespace === b.metadata.namespace && a.metadata.name === b.metadata.name;
}

/**
 * Namespaces that are shown both: the owners', and another one for all the others, which are alike. The empty text stands
 * for those that neither names.
 */
function commonViewers(a: Rival, b: Rival, byDefault: readonly string[]): readonly string[] {
  const [one, other] = [viewersOf(a, byDefault), viewersOf(b, byDefault)];
  const seesBoth = (viewer: string) => [one, other].every(({ isAll, names }) => isAll || names.has(viewer));
  const owners = [...new Set([a.metadata.namespace, b.metadata.namespace])];
  const [fewer] = [one, other].filter(({ isAll }) => !isAll).sort((x, y) => x.names.size - y.names.size);
  const others = [...(fewer?.names ?? [""])].filter((viewer) => !owners.includes(viewer));
  const someone = others.find(seesBoth);
  return [...owners.filter(seesBoth), ...(someone === undefined ? [] : [someone])];
}

interface Viewers {
  readonly isAll: boolean;
  readonly names: ReadonlySet<string>;
}

/** The namespaces that see an object. */
export function viewersOf({ metadata, spec }: Rival, byDefault: readonly string[]): Viewers {
  const exportTo = exportedTo(spec.exportTo, byDefault);
  const isAll = exportTo.length === 0 || exportTo.includes("*");
  // `~` names nobody.
  const names = exportTo.filter((entry) => entry !== "~").map((entry) => (entry === "." ? metadata.namespace : entry));
  return { isAll, names: new Set(names) };
}

/** Whether something of namespace `owner`, exported to `exportTo`, can be seen from `viewer`. No list is everywhere. */
export function visibleFrom(viewer: string, owner: string, exportTo: readonly string[] | undefined): boolean {
  if (exportTo === undefined || exportTo.length === 0) return true;
  return exportTo.some((entry) => entry === "*" || entry === viewer || (entry === "." && viewer === owner));
}

/** What an object says of itself, else what the mesh says for those that say nothing; an empty list says nothing. */
export function exportedTo(own: readonly string[] | undefined, byDefault: readonly string[]): readonly string[] {
  return own === undefined || own.length === 0 ? byDefault : own;
}

/**
 * For whom an object is meant, from the viewer's side: what is kept to the viewer's own namespace (0) counts before what
 * is exported to it by name (1), and that before what everybody sees (2), as Istio orders VirtualServices.
 */
export function exportRank(viewer: string, owner: string, exportTo: readonly string[]): 0 | 1 | 2 {
  if (exportTo.length === 0 || exportTo.includes("*")) return 2;
  return viewer === owner ? 0 : 1;
}

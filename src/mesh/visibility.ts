/** Whether something of namespace `owner`, exported to `exportTo`, can be seen from `viewer`. No list is everywhere. */
export function visibleFrom(viewer: string, owner: string, exportTo: readonly string[] | undefined): boolean {
  if (exportTo === undefined || exportTo.length === 0) return true;
  return exportTo.some((entry) => entry === "*" || entry === viewer || (entry === "." && viewer === owner));
}

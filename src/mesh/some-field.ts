/** Whether a value has such a field anywhere inside; items of lists count under their list's key. Makes nothing on its way. */
export function someField(value: unknown, isWanted: (key: string, field: unknown) => boolean, key = ""): boolean {
  if (Array.isArray(value)) return value.some((item) => isWanted(key, item) || someField(item, isWanted, key));
  if (typeof value !== "object" || value === null) return false;
  for (const [name, field] of Object.entries(value)) {
    if (isWanted(name, field) || someField(field, isWanted, name)) return true;
  }
  return false;
}

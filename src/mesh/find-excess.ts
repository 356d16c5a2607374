/**
 * What one object of configuration may consist of. What people write stays far below, in the 1.5 MiB that an API server
 * stores; beyond, it takes seconds to tell what is wrong with an object, in which nobody else is served.
 */
export const MOST_VALUES = 200_000;
export const MOST_NAMES = 10_000;

/** Of what an object has too much, in words; undefined where it may be looked at. Its depth was capped. */
export function findExcess(object: Readonly<Record<string, unknown>>): string | undefined {
  const names = new Set<string>();
  let values = 0;
  // True where it is enough: whatever is behind is not gone through.
  const countIn = (value: unknown): boolean => {
    if (typeof value !== "object" || value === null) return false;
    if (Array.isArray(value)) {
      values += value.length;
      return values > MOST_VALUES || value.some(countIn);
    }
    for (const name of Object.keys(value)) {
      values++;
      names.add(name);
      if (values > MOST_VALUES || names.size > MOST_NAMES || countIn(Reflect.get(value, name))) return true;
    }
    return false;
  };
  if (!countIn(object)) return undefined;
  return values > MOST_VALUES
    ? `has more than ${MOST_VALUES} fields and items of lists`
    : `has fields of more than ${MOST_NAMES} different names`;
}

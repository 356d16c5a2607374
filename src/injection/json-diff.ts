import type { Operation } from "fast-json-patch";

/**
 * The JSON patch (RFC 6902) that makes `after` of `before`. Parts that are the same object cost nothing, and a list that
 * only grew is added to, item by item, so that what stays keeps its place (and, in YAML, its comments).
 */
export function diffJson(before: unknown, after: unknown): Operation[] {
  const operations: Operation[] = [];
  diff(before, after, "", operations);
  return operations;
}

function diff(before: unknown, after: unknown, path: string, into: Operation[]): void {
  if (before === after) return;
  if (Array.isArray(before) && Array.isArray(after)) diffLists(before, after, path, into);
  else if (isMapping(before) && isMapping(after)) diffMappings(before, after, path, into);
  else into.push({ op: "replace", path, value: after });
}

function diffMappings(before: Mapping, after: Mapping, path: string, into: Operation[]): void {
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) into.push({ op: "remove", path: `${path}/${escaped(key)}` });
    // Most of a pod stays as it is, and its paths need not be written.
    else if (before[key] !== after[key]) diff(before[key], after[key], `${path}/${escaped(key)}`, into);
  }
  for (const key of Object.keys(after)) {
    if (!Object.hasOwn(before, key)) into.push({ op: "add", path: `${path}/${escaped(key)}`, value: after[key] });
  }
}

function diffLists(before: readonly unknown[], after: readonly unknown[], path: string, into: Operation[]): void {
  const operations: Operation[] = [];
  let kept = 0;
  for (const [index, item] of after.entries()) {
    if (kept < before.length && before[kept] === item) kept++;
    else if (kept < before.length && isSame(before[kept], item)) {
      diff(before[kept++], item, `${path}/${index}`, operations);
    } else operations.push({ op: "add", path: `${path}/${index}`, value: item });
  }
  // Something went away or changed places.
  if (kept < before.length) into.push({ op: "replace", path, value: after });
  else into.push(...operations);
}

/** Whether `after` is what became of `before`: a thing of the same name. */
function isSame(before: unknown, after: unknown): boolean {
  return isMapping(before) && isMapping(after) && before.name !== undefined && before.name === after.name;
}

type Mapping = Readonly<Record<string, unknown>>;

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function escaped(key: string): string {
  const tilded = key.includes("~") ? key.replaceAll("~", "~0") : key;
  return tilded.includes("/") ? tilded.replaceAll("/", "~1") : tilded;
}

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { isRecord } from "../../src/mesh/conform.ts";

/** Asserts that the table in a chart's README lists every value of its values.yaml with its default, and no others. */
export function assertValuesDocumented(chart: string): void {
  const values: unknown = parse(readFileSync(join(chart, "values.yaml"), "utf8"));
  const readme = readFileSync(join(chart, "README.md"), "utf8");
  const rows = [...readme.matchAll(/^\| `([\w.]+)` \| (.*?) \|/gm)].map(
    ([, name = "", shown = ""]) => [name, shown] as const,
  );
  const names = new Set(rows.map(([name]) => name));
  assert.deepEqual(
    leaves(values, "", names).map(([name]) => name),
    [...names],
  );
  for (const [name, value] of leaves(values, "", names)) {
    const [, shown = ""] = rows.find(([row]) => row === name) ?? [];
    // Lists and groups, such as resources, may be described in words.
    if (!shown.startsWith("`")) assert.ok(typeof value === "object", name);
    else assert.deepEqual(parse(shown.replaceAll("`", "")), value, name);
  }
}

/** Paths of what can be set: down to where the README describes a whole group, or to a value. */
function leaves(value: unknown, path: string, groups: ReadonlySet<string>): [string, unknown][] {
  if (!isRecord(value) || Object.keys(value).length === 0 || groups.has(path)) return [[path, value]];
  return Object.entries(value).flatMap(([key, field]) => leaves(field, path === "" ? key : `${path}.${key}`, groups));
}

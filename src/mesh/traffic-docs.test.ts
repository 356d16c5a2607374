import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { type TSchema, Type } from "typebox";
import { meshConfigFields } from "./mesh-config-fields.ts";
import { kindSchemaOf } from "./schemas.ts";
import { unsupportedFields } from "./unsupported.ts";

/** docs/traffic.md has a section for each of these kinds, with a table of its fields. */

const page = new URL("../../docs/traffic.md", import.meta.url);
const sections = new Map(
  readFileSync(page, "utf8")
    .split(/^## /m)
    .slice(1)
    .map((text): [string, string] => [text.slice(0, text.indexOf("\n")), text]),
);

/** Paths of every field that holds a value, without list indexes; a union or map is one field. */
function fieldsOf(schema: TSchema, path: string): string[] {
  if (Type.IsArray(schema)) return fieldsOf(schema.items, path);
  if (!Type.IsObject(schema)) return [path];
  return Object.entries(schema.properties).flatMap(([name, field]) => fieldsOf(field, `${path}.${name}`));
}

function fieldsOfKind(kind: string): string[] {
  // Of the mesh's settings each is one field: what they hold is described where it is used.
  if (kind === "MeshConfig") return Object.keys(meshConfigFields);
  const spec = kindSchemaOf(kind)?.schema.properties.spec;
  return spec === undefined ? [] : fieldsOf(spec, "spec");
}

function covers(row: string, field: string): boolean {
  return field === row || field.startsWith(`${row}.`);
}

for (const [kind, text] of sections) {
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)].map(([, field = "", shown = ""]) => ({
    field,
    shown,
  }));
  const fields = fieldsOfKind(kind);
  // What is no kind is prose.
  if (fields.length === 0) continue;

  test(`docs/traffic.md has a row for every field of ${kind}, and no other`, () => {
    const rest = fields.filter((field) => !rows.some((row) => covers(row.field, field)));
    assert.deepEqual(rest, []);
    assert.deepEqual(
      rows.filter((row) => !fields.some((field) => covers(row.field, field))).map(({ field }) => field),
      [],
    );
  });

  test(`docs/traffic.md names tests of ${kind} that are there`, () => {
    for (const { field, shown } of rows) {
      const named = [...shown.matchAll(/\]\(([^)]+)\)((?:[^[]*?"[^"]+",?)+)/g)];
      assert.ok(named.length > 0, `${field} names no test`);
      for (const [, path = "", quotes = ""] of named) {
        const file = new URL(path, page);
        assert.ok(existsSync(file), `${field}: there is no ${path}`);
        const content = readFileSync(file, "utf8");
        for (const [, quote = ""] of quotes.matchAll(/"([^"]+)"/g)) {
          assert.ok(content.includes(quote), `${field}: ${path} does not say ${JSON.stringify(quote)}`);
        }
      }
    }
  });

  test(`docs/traffic.md names the fields of ${kind} that are not supported`, () => {
    for (const field of unsupportedFields[kind] ?? []) assert.ok(text.includes(`\`${field}\``), field);
  });
}

test("docs/traffic.md has sections", () => assert.ok(sections.size >= 8));

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type TSchema, Type } from "typebox";
import { meshConfigFields } from "./mesh-config-fields.ts";
import { kindSchemaOf, kindSchemas } from "./schemas.ts";
import { unsupportedFields } from "./unsupported.ts";

/** Istio's own list of its fields is written anew by `node scripts/istio-fields.ts FOLDER` behind a release of Istio. */
const istioFields = new Map<string, string[]>();
for (const line of readFileSync(new URL("./istio/api-fields.txt", import.meta.url), "utf8").split("\n")) {
  const [kind = "", path] = line.split(" ");
  if (kind === "#" || path === undefined) continue;
  istioFields.set(kind, [...(istioFields.get(kind) ?? []), path]);
}

for (const [kind, fields] of istioFields) {
  test(`every field of ${kind} in Istio's API is read, or known as not supported yet`, () => {
    const unsupported = [...(unsupportedFields[kind] ?? [])];
    assert.deepEqual(
      fields.filter((field) => !isRead(kind, field) && !unsupported.some((path) => isWithin(field, path))),
      [],
    );
    assert.deepEqual(
      unsupported.filter((path) => !fields.some((field) => isWithin(field, path))),
      [],
      "Istio's API has no such field",
    );
  });
}

test("Istio's fields are listed of all of its kinds that are read", () => {
  const kinds = kindSchemas.filter(({ istio, apiVersions }) => istio && !apiVersions[0]?.startsWith("trysail.dev/"));
  assert.deepEqual(new Set(istioFields.keys()), new Set([...kinds.map(({ kind }) => kind), "MeshConfig"]));
});

function isRead(kind: string, path: string): boolean {
  if (kind === "MeshConfig") return Object.hasOwn(meshConfigFields, path);
  const [, ...steps] = path.split(".");
  return has(kindSchemaOf(kind)?.schema.properties.spec, steps);
}

/** What is a union or a map in a schema is one field there. */
function has(schema: TSchema | undefined, [step, ...rest]: readonly string[]): boolean {
  if (schema === undefined) return false;
  if (Type.IsArray(schema)) return has(schema.items, step === undefined ? [] : [step, ...rest]);
  if (step === undefined || !Type.IsObject(schema)) return true;
  return Object.hasOwn(schema.properties, step) && has(schema.properties[step], rest);
}

function isWithin(field: string, path: string): boolean {
  return field === path || field.startsWith(`${path}.`);
}

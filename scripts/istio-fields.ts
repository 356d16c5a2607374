/**
 * Writes src/mesh/istio/api-fields.txt, what Istio's API has, from a folder with a version of the Go module
 * istio.io/api, so that tests can tell which of its fields are neither read here nor known as not supported yet.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { kindSchemas } from "../src/mesh/schemas.ts";

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

interface Definition {
  readonly spec: {
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: node scripts/istio-fields.ts FOLDER/istio.io/api@VERSION");

const lines = [
  `# What istio.io/${basename(folder)} has: the fields of each kind that is read here, and those of MeshConfig.`,
  "# Made by scripts/istio-fields.ts: do not edit.",
];
const definitions = parseAllDocuments(
  readFileSync(`${folder}/kubernetes/customresourcedefinitions.gen.yaml`, "utf8"),
).flatMap((document): Definition[] => document.toJS() ?? []);
for (const { kind, istio } of kindSchemas) {
  const [version] = definitions.find(({ spec }) => spec.names.kind === kind)?.spec.versions ?? [];
  const spec = version?.schema.openAPIV3Schema.properties?.spec;
  if (istio && spec !== undefined) for (const path of leaves(spec, "spec")) lines.push(`${kind} ${path}`);
}
for (const name of topFields(readFileSync(`${folder}/mesh/v1alpha1/config.proto`, "utf8"), "MeshConfig")) {
  lines.push(`MeshConfig ${name}`);
}
const out = fileURLToPath(new URL("../src/mesh/istio/api-fields.txt", import.meta.url));
writeFileSync(out, `${lines.join("\n")}\n`);

/** Paths of fields that hold a value, without list indexes; a map is one field. */
function leaves(schema: Schema, path: string): string[] {
  if (schema.items !== undefined) return leaves(schema.items, path);
  if (schema.properties === undefined) return [path];
  return Object.entries(schema.properties).flatMap(([name, field]) => leaves(field, `${path}.${name}`));
}

/** The fields of a message, as JSON has them, without those of the messages within it. */
function topFields(proto: string, message: string): string[] {
  let depth = 0;
  const fields: string[] = [];
  for (const line of proto.slice(proto.indexOf(`message ${message} {`)).split("\n")) {
    const code = line.replace(/\/\/.*/, "");
    const name = depth === 1 ? /^\s*(?:[\w.]+|repeated [\w.]+|map<.*>) (\w+) = \d+/.exec(code)?.[1] : undefined;
    if (name !== undefined) fields.push(name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()));
    depth += code.split("{").length - code.split("}").length;
    if (depth === 0 && fields.length > 0) break;
  }
  return fields;
}

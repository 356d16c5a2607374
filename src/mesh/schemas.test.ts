import { test } from "node:test";
import { type TSchema, Type } from "typebox";
import { assertGenerated } from "../../test/support/generated-part.ts";
import { groupOf, type KindSchema, kindSchemas } from "./schemas.ts";
import { unsupportedFields } from "./unsupported.ts";

/** `node src/mesh/schemas.test.ts --update` writes the generated part of the page again. */
const page = new URL("../../docs/configuration.md", import.meta.url);

test("docs/configuration.md lists the kinds and fields of the schemas", () => {
  const generated = `\n${table()}\n${kindSchemas
    .filter(({ istio }) => istio)
    .map(section)
    .join("\n")}\n`;
  assertGenerated(page, "from the schemas", generated);
});

function table(): string {
  const rows = kindSchemas.map(({ kind, apiVersions, istio, namespaced }) => {
    const unknown = istio ? "reported" : "kept";
    return `| ${kind} | ${apiVersions.map((version) => `\`${version}\``).join(", ")} | ${namespaced ? "yes" : "no"} | ${unknown} |`;
  });
  return `| Kind | apiVersion | In a namespace | Fields that are not read |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}

function section({ kind, schema, apiVersions }: KindSchema): string {
  const also = groupOf(apiVersions[0]).endsWith(".istio.io") ? besideIstio(kind) : "A kind of Trysail's own.";
  return `### ${kind}\n\n\`\`\`yaml\n${lines("spec", schema.properties.spec ?? Type.Unknown(), true, "", "").join("\n")}\n\`\`\`\n\n${also}\n`;
}

function besideIstio(kind: string): string {
  const unsupported = [...(unsupportedFields[kind] ?? [])].map((path) => `\`${path}\``).join(", ");
  return unsupported === "" ? "Every field that Istio has is read." : `Istio's, not supported yet: ${unsupported}.`;
}

/** A field as YAML: its name, and below it its fields; `mark` is what stands in front of the first of them. */
function lines(name: string, schema: TSchema, isRequired: boolean, indent: string, mark: string): string[] {
  const note = isRequired && name !== "spec" ? "  # required" : "";
  const head = `${indent}${mark}${name}:`;
  const inner = indent + " ".repeat(mark.length);
  if (Type.IsObject(schema)) return [`${head}${note}`, ...fields(schema, `${inner}  `, "")];
  if (Type.IsArray(schema) && Type.IsObject(schema.items))
    return [`${head}${note}`, ...fields(schema.items, inner, "- ")];
  return [`${head} ${inline(schema)}${note}`];
}

function fields(schema: TSchema, indent: string, mark: string): string[] {
  if (!Type.IsObject(schema)) return [];
  const required = new Set<string>(schema.required ?? []);
  return Object.entries(schema.properties).flatMap(([name, field], index) =>
    lines(
      name,
      field,
      required.has(name),
      index === 0 ? indent : indent + " ".repeat(mark.length),
      index === 0 ? mark : "",
    ),
  );
}

function inline(schema: TSchema): string {
  if (Type.IsUnion(schema)) return schema.anyOf.map(inline).join(" | ");
  if (Type.IsArray(schema)) return `[${inline(schema.items)}, …]`;
  if (Type.IsRecord(schema)) {
    const [[key, value] = ["", Type.Unknown()]] = Object.entries(schema.patternProperties);
    return `{${key === "^[0-9]+$" ? "NUMBER" : "NAME"}: ${inline(value)}, …}`;
  }
  if (Type.IsObject(schema)) {
    return `{${Object.entries(schema.properties)
      .map(([name, field]) => `${name}: ${inline(field)}`)
      .join(", ")}}`;
  }
  if (Type.IsLiteral(schema)) return String(schema.const);
  if (Type.IsInteger(schema)) return "number";
  if (Type.IsBoolean(schema)) return "true | false";
  const description: unknown = Reflect.get(schema, "description");
  return typeof description === "string" ? `<${description}>` : "text";
}

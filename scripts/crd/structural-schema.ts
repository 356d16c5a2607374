import { type TObject, type TSchema, type TUnion, Type } from "typebox";

/** An OpenAPI v3 schema as a CustomResourceDefinition takes it. */
export type StructuralSchema = Readonly<Record<string, unknown>>;

/** Kept as it is written: what the mesh does not know is for its own findings to tell, not for the API server to drop. */
const OPEN = { "x-kubernetes-preserve-unknown-fields": true };
/** Bounds what checking keys may cost, which Kubernetes estimates beforehand. */
const MAX_KEYS = 64;

/**
 * The same constraints as Kubernetes can hold them: every type named once, at the place itself and not within a
 * choice. What it cannot say is left to the mesh's own validation.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 *
 * @throws Error where the schema uses what is not known here.
 */
export function buildStructuralSchema(schema: TSchema): StructuralSchema {
  if (Type.IsObject(schema)) return objectSchema(schema);
  if (Type.IsRecord(schema)) return recordSchema(schema);
  if (Type.IsArray(schema)) {
    return { type: "array", items: buildStructuralSchema(schema.items), ...options(schema, ["minItems", "maxItems"]) };
  }
  if (Type.IsUnion(schema)) return unionSchema(schema);
  if (Type.IsString(schema)) {
    return { type: "string", ...options(schema, ["description", "minLength", "maxLength", "pattern"]) };
  }
  if (Type.IsInteger(schema)) return { type: "integer", ...options(schema, ["minimum", "maximum"]) };
  if (Type.IsNumber(schema)) return { type: "number", ...options(schema, ["minimum", "maximum"]) };
  if (Type.IsBoolean(schema)) return { type: "boolean" };
  if (Type.IsLiteral(schema)) return { type: typeof schema.const, enum: [schema.const] };
  if (Type.IsUnknown(schema) || Type.IsAny(schema)) return OPEN;
  throw new Error(`no structural schema for ${JSON.stringify(schema)}`);
}

function objectSchema(schema: TObject): StructuralSchema {
  const properties = Object.entries(schema.properties).map(([name, field]) => [name, buildStructuralSchema(field)]);
  const required: readonly string[] = schema.required ?? [];
  return {
    type: "object",
    ...(properties.length === 0 ? {} : { properties: Object.fromEntries(properties) }),
    ...(required.length === 0 ? {} : { required: [...required] }),
    ...OPEN,
  };
}

function recordSchema({ patternProperties }: { patternProperties: Record<string, TSchema> }): StructuralSchema {
  const [entry = ["", Type.Unknown()] as const] = Object.entries(patternProperties);
  const [pattern, value] = entry;
  const anyKey = pattern === "" || pattern === "^.*$";
  const rule = `self.all(key, key.matches(${JSON.stringify(pattern)}))`;
  return {
    type: "object",
    additionalProperties: buildStructuralSchema(value),
    ...(anyKey
      ? {}
      : {
          maxProperties: MAX_KEYS,
          "x-kubernetes-validations": [{ rule, message: `every key must match ${pattern}` }],
        }),
  };
}

function unionSchema(union: TUnion): StructuralSchema {
  const branches = branchesOf(union);
  const literals = branches.flatMap((branch) => (Type.IsLiteral(branch) ? [branch.const] : []));
  if (literals.length === branches.length && literals.every((value) => typeof value === "string")) {
    return { type: "string", enum: literals };
  }
  const objects = branches.filter((branch) => Type.IsObject(branch));
  if (objects.length === branches.length) return oneOfObjects(objects);
  const isNumber = (branch: TSchema) => Type.IsInteger(branch);
  const isText = (branch: TSchema) => Type.IsString(branch);
  if (branches.every((branch) => isNumber(branch) || isText(branch)) && branches.some(isNumber)) {
    return branches.some(isText) ? { "x-kubernetes-int-or-string": true } : { type: "integer" };
  }
  return OPEN;
}

/** Fields of all branches in one object; of those that tell the branches apart, one must be there, or none where `{}` is one. */
function oneOfObjects(branches: readonly TObject[]): StructuralSchema {
  const fields = new Map<string, StructuralSchema>();
  for (const branch of branches) {
    for (const [name, field] of Object.entries(branch.properties)) {
      const schema = buildStructuralSchema(field);
      const known = fields.get(name);
      // Two meanings of one name: neither can be said.
      fields.set(name, known === undefined || JSON.stringify(known) === JSON.stringify(schema) ? schema : OPEN);
    }
  }
  const said = branches.filter((branch) => Object.keys(branch.properties).length > 0);
  const telling = said.map((branch) => branch.required ?? []);
  const isTold = telling.every((names) => names.length > 0) && new Set(telling.map(String)).size === telling.length;
  const ways = telling.map((required) => ({ required: [...required] }));
  return {
    type: "object",
    properties: Object.fromEntries(fields),
    ...(isTold ? { oneOf: said.length < branches.length ? [{ not: { anyOf: ways } }, ...ways] : ways } : {}),
    ...OPEN,
  };
}

function branchesOf(union: TUnion): TSchema[] {
  return union.anyOf.flatMap((branch) => (Type.IsUnion(branch) ? branchesOf(branch) : [branch]));
}

function options(schema: TSchema, names: readonly string[]): Record<string, unknown> {
  const entries = names.map((name): [string, unknown] => [name, Reflect.get(schema, name)]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

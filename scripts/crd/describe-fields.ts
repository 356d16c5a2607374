import type { StructuralSchema } from "./structural-schema.ts";

/**
 * The schema with these descriptions, by paths such as `http.match.uri`, which go through lists and maps.
 *
 * @throws Error naming a path that leads to no field.
 */
export function describeFields(schema: StructuralSchema, texts: Readonly<Record<string, string>>): StructuralSchema {
  const unused = new Set(Object.keys(texts));
  const described = describe(schema, "", (path) => {
    unused.delete(path);
    return texts[path];
  });
  if (unused.size > 0) throw new Error(`there is no field ${[...unused].join(", ")} to describe`);
  return described;
}

function describe(
  schema: StructuralSchema,
  path: string,
  textOf: (path: string) => string | undefined,
): StructuralSchema {
  const { properties, items, additionalProperties } = schema;
  const inner = { ...schema };
  if (isSchema(properties)) {
    const fields = Object.entries(properties).map(([name, field]) => {
      const at = path === "" ? name : `${path}.${name}`;
      if (!isSchema(field)) return [name, field];
      const description = textOf(at);
      return [
        name,
        {
          ...(description === undefined ? {} : { description }),
          ...withoutOwn(describe(field, at, textOf), description),
        },
      ];
    });
    Object.assign(inner, { properties: Object.fromEntries(fields) });
  }
  if (isSchema(items)) Object.assign(inner, { items: describe(items, path, textOf) });
  if (isSchema(additionalProperties)) {
    Object.assign(inner, { additionalProperties: describe(additionalProperties, path, textOf) });
  }
  return inner;
}

/** What a schema says of the form of its texts, which a description takes the place of. */
function withoutOwn(schema: StructuralSchema, description: string | undefined): StructuralSchema {
  if (description === undefined) return schema;
  const { description: _, ...others } = schema;
  return others;
}

function isSchema(value: unknown): value is StructuralSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

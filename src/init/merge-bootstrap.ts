import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/**
 * `over` merged into `base` as protobuf merges messages: objects field by field, lists one behind the other, anything
 * else replaced. A field may be named as in the .proto file (`static_resources`) or as in JSON (`staticResources`).
 */
export function mergeBootstrap(base: JsonObject, over: JsonObject): JsonObject {
  const merged: JsonObject = { ...base };
  for (const [name, value] of Object.entries(over)) {
    const key = Object.hasOwn(base, name) ? name : sameField(base, name);
    const present = Object.hasOwn(merged, key) ? merged[key] : undefined;
    // Not by assignment, which takes one name for something else.
    Object.defineProperty(merged, key, { value: merge(present, value), enumerable: true, writable: true });
  }
  return merged;
}

function merge(base: JsonValue | undefined, over: JsonValue): JsonValue {
  if (Array.isArray(base) && Array.isArray(over)) return [...base, ...over];
  if (isObject(base) && isObject(over)) return mergeBootstrap(base, over);
  return over;
}

function sameField(base: JsonObject, name: string): string {
  const json = name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return Object.hasOwn(base, json) ? json : name;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

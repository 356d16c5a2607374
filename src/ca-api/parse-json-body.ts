import Type, { type Static, type TSchema } from "typebox";
import type { Validator } from "typebox/compile";
import { Refusal } from "../ca/refusal.ts";

/** Bodies nest one level deep; what nests further is not decoded. */
const OPENINGS = /[[{]/g;
const MOST_OPENINGS = 8;
/** The caller names its fields, and may have put something else where a name belongs. */
const LONGEST_FIELD = 64;

/** Reads a JSON body of the schema's shape; throws a Refusal that names the first field that is wrong. */
export function parseJsonBody<T extends TSchema>(
  validator: Validator<Record<never, never>, T>,
  body: unknown,
): Static<T> {
  if (!Buffer.isBuffer(body)) throw new Refusal("bad-request", "the request has no body");
  const text = body.toString("utf8");
  let value: unknown;
  try {
    if ((text.match(OPENINGS)?.length ?? 0) > MOST_OPENINGS) throw new Error("nested too deep");
    value = JSON.parse(text);
  } catch {
    // A parser's message quotes its input.
    throw new Refusal("bad-request", "the body is not JSON");
  }
  if (validator.Check(value)) return value;
  const [first] = validator.Errors(value);
  const field = (first?.instancePath || "fields").slice(0, LONGEST_FIELD);
  if (first?.keyword === "boolean") {
    throw new Refusal("bad-request", `the body may not have ${field}: it takes ${fieldsOf(validator)}`);
  }
  throw new Refusal("bad-request", `the body's ${field} ${first?.message ?? "are wrong"}`);
}

/** The names of all that a body may have, in one text. */
export function fieldsOf<T extends TSchema>(validator: Validator<Record<never, never>, T>): string {
  const schema: TSchema = validator.Type();
  return Type.IsObject(schema) ? Object.keys(schema.properties).join(", ") : "";
}

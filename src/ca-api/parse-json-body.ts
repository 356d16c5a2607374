import Type, { type Static, type TSchema } from "typebox";
import type { Validator } from "typebox/compile";
import { Refusal } from "../ca/refusal.ts";

/** Bodies nest one level deep and hold a few values; what has many more is not decoded, nor looked through for its mistakes. */
const MOST_VALUES = 40;
/** The caller names its fields, and may have put something else where a name belongs. */
const LONGEST_FIELD = 64;

/** Reads a JSON body of the schema's shape; throws a Refusal that names the first field that is wrong. */
export function parseJsonBody<T extends TSchema>(
  validator: Validator<Record<never, never>, T>,
  body: unknown,
): Static<T> {
  if (!Buffer.isBuffer(body)) throw new Refusal("bad-request", "the request has no body");
  if (holdsMany(body)) throw new Refusal("bad-request", "the body holds too many values");
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
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

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [COMMA, BRACKET, BRACE] = [0x2c, 0x5b, 0x7b];

/** Goes by what stands between texts, since an audience may be `https://[::1]`. */
function holdsMany(body: Buffer): boolean {
  let values = 0;
  let isText = false;
  for (let at = 0; at < body.length; at++) {
    const octet = body[at] ?? 0;
    if (isText && octet === BACKSLASH) at++;
    else if (octet === QUOTE) isText = !isText;
    else if (!isText && (octet === COMMA || octet === BRACKET || octet === BRACE) && ++values > MOST_VALUES)
      return true;
  }
  return false;
}

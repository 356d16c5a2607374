import { type TSchema, Type } from "typebox";

/** What a single value must be, or undefined where it is that. */
export function scalarMismatch(schema: TSchema, value: unknown): string | undefined {
  if (Type.IsString(schema)) return stringMismatch(schema, value);
  if (Type.IsInteger(schema)) return integerMismatch(schema, value);
  if (Type.IsNumber(schema)) return numberMismatch(schema, value);
  if (Type.IsBoolean(schema)) return typeof value === "boolean" ? undefined : "must be true or false";
  if (Type.IsLiteral(schema)) return value === schema.const ? undefined : `must be ${JSON.stringify(schema.const)}`;
  if (Type.IsNull(schema)) return value === null ? undefined : "must be empty";
  return undefined;
}

function integerMismatch(schema: TSchema, value: unknown): string | undefined {
  const minimum = numberOf(schema, "minimum", Number.NEGATIVE_INFINITY);
  const maximum = numberOf(schema, "maximum", Number.POSITIVE_INFINITY);
  if (typeof value === "number" && Number.isInteger(value) && value >= minimum && value <= maximum) return undefined;
  if (Number.isFinite(minimum) && Number.isFinite(maximum))
    return `must be a whole number from ${minimum} to ${maximum}`;
  return Number.isFinite(minimum) ? `must be a whole number of ${minimum} or more` : "must be a whole number";
}

function numberMismatch(schema: TSchema, value: unknown): string | undefined {
  const minimum = numberOf(schema, "minimum", Number.NEGATIVE_INFINITY);
  const maximum = numberOf(schema, "maximum", Number.POSITIVE_INFINITY);
  if (typeof value === "number" && value >= minimum && value <= maximum) return undefined;
  return Number.isFinite(minimum) && Number.isFinite(maximum)
    ? `must be a number from ${minimum} to ${maximum}`
    : "must be a number";
}

function stringMismatch(schema: TSchema, value: unknown): string | undefined {
  if (typeof value !== "string") return "must be text";
  const maxLength = numberOf(schema, "maxLength", Number.POSITIVE_INFINITY);
  if (value.length > maxLength) return `must be at most ${maxLength} characters long`;
  if (value.length < numberOf(schema, "minLength", 0)) return "must not be empty text";
  const pattern = optionOf(schema, "pattern");
  if (typeof pattern !== "string" || new RegExp(pattern).test(value)) return undefined;
  const description = optionOf(schema, "description");
  return typeof description === "string" ? `must be ${description}` : `must match ${pattern}`;
}

/** The way out where the value is right but for its quotes; else nothing. */
export function hint(schema: TSchema, value: unknown): string {
  if (Type.IsString(schema) && (typeof value === "number" || typeof value === "boolean")) {
    return `: quote it, as "${value}"`;
  }
  const numeric = typeof value === "string" && value.trim() !== "" && Number.isInteger(Number(value));
  if (Type.IsInteger(schema) && numeric) return ": remove the quotes";
  if (Type.IsBoolean(schema) && (value === "true" || value === "false")) return ": remove the quotes";
  return "";
}

/** An option such as `minimum`, which TypeBox's types leave out. */
export function optionOf(schema: TSchema, name: string): unknown {
  return Reflect.get(schema, name);
}

export function numberOf(schema: TSchema, name: string, fallback: number): number {
  const option = optionOf(schema, name);
  return typeof option === "number" ? option : fallback;
}

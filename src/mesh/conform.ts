import { type TObject, type TSchema, type TUnion, Type } from "typebox";
import { hint, numberOf, optionOf, scalarMismatch } from "./scalar-mismatch.ts";

/** A value made to fit a schema, and everything that was in the way. */
export interface Conformance {
  /** `value` without unknown fields (where the schema is closed) and without nulls (which mean "absent"). */
  readonly value: unknown;
  readonly mismatches: readonly Mismatch[];
  /** Paths of fields that a closed schema does not have. */
  readonly unknownFields: readonly string[];
}

export interface ConformOptions {
  /** Says of values only what type they have. */
  readonly redact?: boolean;
  /** Ends after so many mistakes, where `value` is of no use any more; and tells as many of the other unknown fields. */
  readonly most?: number;
  /** Whether an unknown field at this path is a mistake, and not only one that is left out. */
  isMistake?(path: string): boolean;
}

export interface Mismatch {
  /** JSON path from the root, such as `spec.http[0].route[1].weight`. */
  readonly path: string;
  /** Completes the sentence "PATH …", and says the way out. */
  readonly reason: string;
}

/**
 * Compares a value with a schema and words every difference for the person who wrote it: one sentence each, where a
 * validator would report every branch of a union. Covers the schema types the mesh's objects use.
 */
export function conform(schema: TSchema, value: unknown, options: ConformOptions = {}): Conformance {
  const walk = new Walk(options);
  const cleaned = walk.visit(schema, value, "");
  return { value: cleaned, mismatches: walk.mismatches, unknownFields: walk.unknownFields };
}

/** `a.b`, or `a["b.c"]` where a key would not read as one step. */
export function joinPath(path: string, key: string): string {
  if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class Walk {
  readonly mismatches: Mismatch[] = [];
  readonly unknownFields: string[] = [];
  readonly #options: ConformOptions;
  readonly #redact: boolean;
  /** How many more mistakes, and how many more other unknown fields, are told. */
  #mistakesLeft: number;
  #leftOutLeft: number;

  constructor(options: ConformOptions) {
    this.#options = options;
    this.#redact = options.redact === true;
    this.#mistakesLeft = options.most ?? Number.POSITIVE_INFINITY;
    this.#leftOutLeft = this.#mistakesLeft;
  }

  get #hasEnough(): boolean {
    return this.#mistakesLeft <= 0;
  }

  visit(schema: TSchema, value: unknown, path: string): unknown {
    if (this.#hasEnough) return value;
    if (Type.IsObject(schema)) return this.#object(schema, value, path);
    if (Type.IsRecord(schema)) return this.#record(schema, value, path);
    if (Type.IsArray(schema)) return this.#array(schema, value, path);
    if (Type.IsUnion(schema)) return this.#union(schema, value, path);
    const wanted = scalarMismatch(schema, value);
    if (wanted !== undefined)
      this.#report(path, `${wanted}, but is ${this.#show(value)}${hint(schema, this.#redact ? undefined : value)}`);
    return value;
  }

  #object(schema: TObject, value: unknown, path: string): unknown {
    if (!isRecord(value)) return this.#refuse(value, path, `must be a mapping of fields, but is ${this.#show(value)}`);
    const entries: [string, unknown][] = [];
    for (const key of Object.keys(value)) {
      if (this.#hasEnough) return value;
      const field = value[key];
      const fieldSchema = Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
      if (fieldSchema === undefined) {
        if (isClosed(schema)) this.#unknown(path, key);
        else entries.push([key, field]);
      } else if (field !== null || acceptsNull(fieldSchema)) {
        entries.push([key, this.visit(fieldSchema, field, joinPath(path, key))]);
      }
    }
    const present = new Set(entries.map(([key]) => key));
    for (const key of schema.required ?? []) {
      if (!present.has(key)) this.#report(joinPath(path, key), "is missing: it is required");
    }
    return Object.fromEntries(entries);
  }

  #record(schema: TSchema & { patternProperties: Record<string, TSchema> }, value: unknown, path: string): unknown {
    if (!isRecord(value)) return this.#refuse(value, path, `must be a mapping, but is ${this.#show(value)}`);
    const [keyPattern, valueSchema] = Object.entries(schema.patternProperties)[0] ?? ["", Type.Unknown()];
    const keys = new RegExp(keyPattern);
    const entries: [string, unknown][] = [];
    for (const key of Object.keys(value)) {
      if (this.#hasEnough) return value;
      const fieldPath = joinPath(path, key);
      if (!keys.test(key))
        this.#report(
          fieldPath,
          `has a key that must ${keyPattern === "^[0-9]+$" ? "be a number" : `match ${keyPattern}`}`,
        );
      entries.push([key, this.visit(valueSchema, value[key], fieldPath)]);
    }
    return Object.fromEntries(entries);
  }

  #array(schema: TSchema & { items: TSchema }, value: unknown, path: string): unknown {
    if (!Array.isArray(value)) {
      return this.#refuse(
        value,
        path,
        `must be a list, but is ${this.#show(value)}: put "- " before each of its items`,
      );
    }
    if (value.length < numberOf(schema, "minItems", 0)) this.#report(path, "must not be empty");
    const maxItems = numberOf(schema, "maxItems", Number.POSITIVE_INFINITY);
    if (value.length > maxItems) return this.#refuse(value, path, `must not have more than ${maxItems} items`);
    const items: unknown[] = [];
    for (const [index, item] of value.entries()) {
      if (this.#hasEnough) return value;
      items.push(this.visit(schema.items, item, `${path}[${index}]`));
    }
    return items;
  }

  #union(schema: TUnion, value: unknown, path: string): unknown {
    const literals = schema.anyOf
      .filter((branch) => Type.IsLiteral(branch))
      .map((branch) => JSON.stringify(branch.const));
    if (literals.length === schema.anyOf.length) {
      if (literals.includes(JSON.stringify(value))) return value;
      return this.#refuse(value, path, `must be one of ${literals.join(", ")}, but is ${this.#show(value)}`);
    }
    for (const branch of schema.anyOf) {
      const attempt = new Walk({ most: 1, isMistake: () => true });
      const cleaned = attempt.visit(branch, value, path);
      if (attempt.mismatches.length === 0 && attempt.unknownFields.length === 0) return cleaned;
    }
    const closest = closestBranch(schema, value);
    if (closest !== undefined) return this.visit(closest, value, path);
    return this.#refuse(value, path, `must be ${alternatives(schema)}, but is ${this.#show(value)}`);
  }

  #report(path: string, reason: string): void {
    if (this.#hasEnough) return;
    this.#mistakesLeft--;
    this.mismatches.push({ path, reason });
  }

  #unknown(parent: string, key: string): void {
    const isMistake = this.#options.isMistake;
    if (isMistake === undefined && this.#leftOutLeft <= 0) return;
    const path = joinPath(parent, key);
    if (isMistake?.(path) === true) this.#mistakesLeft--;
    else if (this.#leftOutLeft-- <= 0) return;
    this.unknownFields.push(path);
  }

  #refuse(value: unknown, path: string, reason: string): unknown {
    this.#report(path, reason);
    return value;
  }

  #show(value: unknown): string {
    if (value === undefined || value === null) return "empty";
    if (Array.isArray(value)) return "a list";
    if (isRecord(value)) {
      const keys = Object.keys(value);
      if (keys.length === 0) return "{}";
      return `a mapping with ${keys.slice(0, 4).map(shorten).join(", ")}${keys.length > 4 ? ", …" : ""}`;
    }
    if (this.#redact) return `a ${typeof value}`;
    return shorten(JSON.stringify(value) ?? String(value));
  }
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function isClosed(schema: TSchema): boolean {
  return optionOf(schema, "additionalProperties") === false;
}

function acceptsNull(schema: TSchema): boolean {
  return Type.IsNull(schema) || Type.IsUnknown(schema) || (Type.IsUnion(schema) && schema.anyOf.some(acceptsNull));
}

/** The one branch of a union that `value` was clearly meant to be: the only mapping with its only key, or the only list. */
function closestBranch(schema: TUnion, value: unknown): TSchema | undefined {
  if (Array.isArray(value)) return schema.anyOf.find((branch) => Type.IsArray(branch));
  if (!isRecord(value)) return undefined;
  const keys = Object.keys(value);
  const [key] = keys;
  if (keys.length !== 1 || key === undefined) return undefined;
  return branchesOf(schema).find((branch) => Type.IsObject(branch) && Object.hasOwn(branch.properties, key));
}

function branchesOf(schema: TUnion): TSchema[] {
  return schema.anyOf.flatMap((branch) => (Type.IsUnion(branch) ? branchesOf(branch) : [branch]));
}

/** `a whole number or text`, `a mapping with exactly one of exact, prefix, regex`. */
function alternatives(schema: TUnion): string {
  const fields: string[] = [];
  const others: string[] = [];
  for (const branch of branchesOf(schema)) {
    if (Type.IsObject(branch)) {
      const keys = Object.keys(branch.properties);
      if (keys.length === 0) others.push("{}");
      fields.push(...keys);
    } else others.push(nameOf(branch));
  }
  const mapping = fields.length === 0 ? [] : [`a mapping with exactly one of ${fields.join(", ")}`];
  return [...mapping, ...others].join(" or ");
}

function nameOf(schema: TSchema): string {
  if (Type.IsLiteral(schema)) return JSON.stringify(schema.const);
  if (Type.IsArray(schema)) return "a list";
  if (Type.IsInteger(schema)) return "a whole number";
  if (Type.IsString(schema)) return "text";
  if (Type.IsBoolean(schema)) return "true or false";
  return "empty";
}

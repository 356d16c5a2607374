import { TrysailError } from "../platform/errors.ts";
import { parseGoBoolean } from "../platform/go-boolean.ts";
import { parseJsonObject } from "./json-object.ts";
import { LOG_COMPONENTS } from "./log-components.ts";
import { parseQuantity } from "./quantity.ts";

/** Reads the text of an annotation or label. `source` names it in the error, an `invalid-argument`. */
export type ParseValue<T> = (text: string, source: string) => T;

/** Says what was expected and what was found, cut short: people write whole files into annotations. */
export function badValue(source: string, text: string, expected: string): TrysailError {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  return new TrysailError("invalid-argument", `${source}: ${shown} is not ${expected}`);
}

export function parseOneOf<T extends string>(...words: readonly T[]): ParseValue<T> {
  return (text, source) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw badValue(source, text, `one of ${words.join(", ")}`);
    return found;
  };
}

export const parseBoolean: ParseValue<boolean> = (text, source) => {
  const value = parseGoBoolean(text);
  if (value === null) throw badValue(source, text, "true or false");
  return value;
};

export function parseWholeNumber(minimum: number, maximum: number): ParseValue<number> {
  return (text, source) => {
    const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    throw badValue(source, text, `a whole number from ${minimum} to ${maximum}`);
  };
}

/** An amount as Kubernetes writes it, such as `100m` or `128Mi`; kept as it is written. */
export const parseAmount: ParseValue<string> = (text, source) => {
  const amount = parseQuantity(text);
  if (amount === undefined || amount < 0) throw badValue(source, text, "an amount such as 100m or 128Mi");
  return text;
};

/** A ConfigMap's name and the like. */
export const parseObjectName: ParseValue<string> = (text, source) => {
  if (text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)) return text;
  throw badValue(source, text, "the name of a Kubernetes object");
};

/** A container image's name, with a tag or digest or without. */
export const parseImage: ParseValue<string> = (text, source) => {
  if (text.length <= 512 && /^[A-Za-z0-9][\w./:@-]*$/.test(text)) return text;
  throw badValue(source, text, "the name of an image");
};

export const parseImageType: ParseValue<string> = (text, source) => {
  if (text === "" || /^[a-z][a-z0-9-]{0,62}$/.test(text)) return text;
  throw badValue(source, text, "a type of image such as default, debug or distroless");
};

/** `HOST:PORT`; the host may be an IPv6 address in brackets. */
export const parseHostAndPort: ParseValue<string> = (text, source) => {
  const port = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/.exec(text)?.[1];
  if (port !== undefined && Number(port) >= 1 && Number(port) <= 65535) return text;
  throw badValue(source, text, "HOST:PORT");
};

const LEVELS = ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"] as const;

/** Envoy's own words, so they go to it as they are. */
export const parseLogLevel: ParseValue<string> = parseOneOf(...LEVELS);

/** `upstream:debug,connection:trace`, and `misc:error` alike. */
export const parseComponentLogLevel: ParseValue<string> = (text, source) => {
  const parts = text.split(",");
  const isLevel = (part: string) => LEVELS.some((level) => part.endsWith(`:${level}`));
  if (text !== "" && !parts.every((part) => /^[a-z0-9_]+:[a-z]+$/.test(part) && isLevel(part))) {
    throw badValue(source, text, "a list of COMPONENT:LEVEL");
  }
  const unknown = parts.find((part) => part !== "" && !LOG_COMPONENTS.has(part.slice(0, part.indexOf(":"))));
  if (unknown === undefined) return text;
  throw new TrysailError("invalid-argument", `${source}: Envoy has no component ${unknown.slice(0, 60)}`);
};

/** Names separated by commas, such as network interfaces, templates or tags. */
export function parseNames(what: string, pattern: RegExp): ParseValue<readonly string[]> {
  return (text, source) => {
    if (text.trim() === "") return [];
    const names = text.split(",").map((name) => name.trim());
    if (names.every((name) => pattern.test(name))) return names;
    throw badValue(source, text, `a list of ${what}`);
  };
}

/** Of templates, tags and the like. */
export const parseObjectNames = parseNames("names", /^[A-Za-z0-9._-]+$/);

/** `{"NAME": {…}}`, or the list of `{"name": "NAME", …}` that Kubernetes itself writes. */
export const parseNamedObjects: ParseValue<readonly { readonly name: string }[]> = (text, source) => {
  const value = isShallow(text) ? parseJsonObject(text) : undefined;
  const items: readonly unknown[] = Array.isArray(value)
    ? value
    : Object.entries(value ?? {}).map(([name, fields]) =>
        typeof fields === "object" && fields !== null ? { name, ...fields } : fields,
      );
  const named = items.filter(isNamed);
  if (value === undefined || named.length < items.length) {
    throw badValue(source, text, `JSON such as {"NAME": {…}}`);
  }
  return named;
};

/** No volume nests so deeply; what does would exhaust the stack of whoever merges it. */
function isShallow(text: string): boolean {
  return (text.match(/[[{]/g)?.length ?? 0) <= 1000;
}

function isNamed(item: unknown): item is { name: string } {
  return typeof item === "object" && item !== null && "name" in item && typeof item.name === "string";
}

/** Whatever it is, somebody else reads it. */
export const parseAnything: ParseValue<string> = (text) => text;

/** A mapping as JSON. */
export const parseObject: ParseValue<object> = (text, source) => {
  const value = parseJsonObject(text);
  if (value === undefined || Array.isArray(value)) throw badValue(source, text, "a JSON mapping");
  return value;
};

export const parseDuration: ParseValue<string> = (text, source) => {
  if (/^([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+$/.test(text)) return text;
  throw badValue(source, text, "a duration such as 45s");
};

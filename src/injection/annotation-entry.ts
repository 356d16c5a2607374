import { TrysailError } from "../platform/errors.ts";
import type { ParseValue } from "./annotation-values.ts";

/** One annotation or label: the whole truth about it, for the code, the docs and whoever misspells it. */
export interface Entry<T> {
  readonly name: string;
  /** What may be written, in words. */
  readonly type: string;
  readonly parse: ParseValue<T>;
  /** What holds where it is not there, in Markdown. */
  readonly fallback?: string;
  /** In Markdown; `none` with a reason in `without`. */
  readonly effect: string;
  /** Why it has no effect; told to whoever sets it. */
  readonly without?: string;
}

/** Gives the table's entries their types. */
export function entry<T>(fields: Entry<T>): Entry<T> {
  return fields;
}

/**
 * The value of an annotation, undefined where it is not set.
 *
 * @throws TrysailError `invalid-argument` naming the annotation and what is wrong with its value.
 */
export function readAnnotation<T>(annotations: Readonly<Record<string, string>>, { name, parse }: Entry<T>) {
  const text = annotations[name];
  if (text === undefined) return undefined;
  if (text.length > MAX_CHARACTERS) {
    const message = `annotation ${name}: has ${text.length} characters, which are more than ${MAX_CHARACTERS}`;
    throw new TrysailError("invalid-argument", message);
  }
  return parse(text, `annotation ${name}`);
}

/** A quarter of what Kubernetes allows all annotations of a pod together. */
const MAX_CHARACTERS = 64 * 1024;

/** Prefixes that belong to injection: what else stands under them is a slip. */
const OWN_PREFIXES = [
  "inject.istio.io/",
  "prometheus.istio.io/",
  "proxy.istio.io/",
  "readiness.status.sidecar.istio.io/",
  "sidecar.istio.io/",
  "status.sidecar.istio.io/",
  "traffic.sidecar.istio.io/",
];

/**
 * Reads each annotation that an entry knows. One sentence for each that has no effect and for each unknown one, which
 * Istio accepts.
 *
 * @throws TrysailError `invalid-argument` naming the first annotation with a value that cannot be read.
 */
export function checkAnnotations(
  annotations: Readonly<Record<string, string>>,
  entries: ReadonlyMap<string, Entry<unknown>>,
): readonly string[] {
  const keys = Object.keys(annotations).filter((key) => key.includes("istio.io/"));
  if (keys.length === 0) return [];
  // Anybody who may create a pod may write tens of thousands of unknown ones.
  let spellings: ReadonlyMap<string, string> | undefined;
  return keys.flatMap((key) => {
    const known = entries.get(key);
    if (known === undefined) {
      if (!OWN_PREFIXES.some((prefix) => key.startsWith(prefix))) return [];
      spellings ??= new Map([...entries.keys()].map((name) => [name.toLowerCase(), name]));
      return [unknownAnnotation(key, spellings)];
    }
    readAnnotation(annotations, known);
    return known.without === undefined ? [] : [`annotation ${key} has no effect: ${known.without}`];
  });
}

/** `spellings`: the known names by what is left of them without capitals. */
function unknownAnnotation(key: string, spellings: ReadonlyMap<string, string>): string {
  const meant = spellings.get(key.toLowerCase());
  return `annotation ${key} is unknown and has no effect${meant === undefined ? "" : `; did you mean ${meant}?`}`;
}

/** For annotations that are read as one and are wrong as another. */
export function invalidAnnotation({ name }: Entry<unknown>, reason: string): TrysailError {
  return new TrysailError("invalid-argument", `annotation ${name}: ${reason}`);
}

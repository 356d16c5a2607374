import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type ScalarTag } from "yaml";
import { append } from "../platform/append.ts";
import { messageOf } from "../platform/errors.ts";
import { jsonOf } from "../platform/json-of.ts";
import type { FolderLimits } from "./limits.ts";

/** What a document's text holds, or why it cannot be read. */
export type Decoded =
  | { readonly value: unknown }
  | {
      readonly code: "document-malformed" | "document-too-large";
      readonly reason: string;
      /** Line inside the document, counted from 0. */
      readonly line: number;
    };

/** Far more than people write, and too few to make a small text into a huge value. */
const MAX_ALIASES = 100;

/**
 * Decodes one document: JSON by the engine's own parser, which is many times faster, everything else as YAML 1.2 with
 * merge keys (`<<`) and, as Kubernetes reads them, octal numbers such as 0644. Never throws.
 */
export function decodeDocument(text: string, limits: Pick<FolderLimits, "documentLength" | "depth">): Decoded {
  if (text.length > limits.documentLength) {
    const size = (text.length / 2 ** 20).toFixed(1);
    const reason = `the document has ${size} MiB, more than the ${limits.documentLength / 2 ** 20} MiB that are read: split it`;
    return { code: "document-too-large", reason, line: 0 };
  }
  const tooDeep = {
    code: "document-too-large",
    reason: `the document nests more than ${limits.depth} levels: flatten it`,
    line: 0,
  } as const;
  const json = parseJson(text);
  if (json !== undefined) return isDeeper(json.value, limits.depth) ? tooDeep : json;
  // The YAML parser recurses: this keeps it from being led into the depth, though its own errors would be caught.
  if (bracketDepth(text) > limits.depth * 4) return tooDeep;
  const yaml = parseYaml(text);
  return "value" in yaml && isDeeper(yaml.value, limits.depth) ? tooDeep : yaml;
}

function parseJson(text: string): { value: unknown } | undefined {
  if (!/^\s*[{[]/.test(text)) return undefined;
  const value = jsonOf(text);
  return value === undefined ? undefined : { value };
}

/** `0644` is octal in YAML 1.1, which Kubernetes' tools read. */
const octal: ScalarTag = {
  identify: () => false,
  default: true,
  tag: "tag:yaml.org,2002:int",
  test: /^0[0-7]+$/,
  resolve: (text) => Number.parseInt(text, 8),
};

function parseYaml(text: string): Decoded {
  const lines = new LineCounter();
  const lineOf = (offset: number | undefined) =>
    offset === undefined ? 0 : Math.max(0, lines.linePos(offset).line - 1);
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      merge: true,
      customTags: (tags) => [octal, ...tags],
      logLevel: "silent",
      // Both cost quadratic time on hostile input; duplicates are looked for below.
      prettyErrors: false,
      uniqueKeys: false,
    });
    const [error] = document.errors;
    if (error !== undefined) return malformed(tidy(error.message), lineOf(error.pos[0]));
    const fault = findFault(document);
    if (fault !== undefined) return malformed(fault.reason, lineOf(fault.offset));
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }) };
  } catch (thrown) {
    return malformed(tidy(messageOf(thrown)), 0);
  }
}

function malformed(reason: string, line: number): Decoded {
  return { code: "document-malformed", reason, line };
}

/** The parser's message without excerpts of the text, which may hold secrets. */
function tidy(message: string): string {
  if (message.startsWith("Maximum call stack")) return "it nests too deeply";
  const text = message
    .replace('"quote', "double quote")
    .replace("'quote", "single quote")
    .replace(/:? *["'`][\s\S]*$/, "")
    .replace(/:?\s*$/, "");
  return text.length > 120 ? `${text.slice(0, 117)}…` : text;
}

interface Fault {
  readonly reason: string;
  readonly offset: number | undefined;
}

/** What YAML permits or its parser lets pass, and JSON cannot say: keys twice, keys that are no text, heaps of aliases. */
function findFault(document: Document): Fault | undefined {
  let aliases = 0;
  const anchors = new Set<string>();
  const pending: unknown[] = [document.contents];
  while (pending.length > 0) {
    const node = pending.pop();
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) anchors.add(node.anchor);
    if (isAlias(node)) {
      aliases++;
      if (!anchors.has(node.source))
        return { reason: "it has an alias without an anchor before it", offset: node.range?.[0] };
      if (aliases > MAX_ALIASES) return { reason: `it has more than ${MAX_ALIASES} aliases`, offset: node.range?.[0] };
    } else if (isSeq(node)) {
      append(pending, node.items.toReversed());
    } else if (isMap(node)) {
      const keys = new Set<string>();
      const values: unknown[] = [];
      for (const { key, value } of node.items) {
        if (!isScalar(key)) return { reason: "it has a key that is not plain text", offset: node.range?.[0] };
        const name = String(key.value);
        if (keys.has(name) && name !== "<<")
          return { reason: `it has the key ${JSON.stringify(name)} twice in one mapping`, offset: key.range?.[0] };
        keys.add(name);
        values.push(value);
      }
      append(pending, values.reverse());
    }
  }
  return undefined;
}

/** Whether `value` nests more than `depth` levels, as one that holds itself by an alias does. */
function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth === 0) return true;
  for (const child of Object.values(value)) {
    if (isDeeper(child, depth - 1)) return true;
  }
  return false;
}

/** The most brackets that are ever open at once, those in strings included. */
function bracketDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 91 || code === 123) deepest = Math.max(deepest, ++depth);
    else if ((code === 93 || code === 125) && depth > 0) depth--;
  }
  return deepest;
}

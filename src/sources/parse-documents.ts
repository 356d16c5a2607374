import { isDeepStrictEqual } from "node:util";
import { deepFreeze } from "../mesh/deep-freeze.ts";
import type { Finding, Origin } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { parseObjects } from "../mesh/parse-object.ts";
import { decodeDocument } from "./decode-document.ts";
import type { FolderLimits } from "./limits.ts";
import { objectKey } from "./object-key.ts";
import { type DocumentText, splitDocuments } from "./split-documents.ts";

/** One document of a file, read. */
export interface ParsedDocument {
  readonly text: string;
  readonly line: number;
  /** Counted from 1 within the file, documents without content left out. */
  readonly document: number;
  readonly objects: readonly KnownObject[];
  readonly findings: readonly Finding[];
}

/** What a file said until now. */
export interface KnownBefore {
  readonly documents: readonly ParsedDocument[];
  /** Its objects, those included whose documents were broken since. */
  readonly kept: Iterable<KnownObject>;
}

/** How long reading may hold the event loop before others get their turn. */
const SLICE_MS = 15;

/**
 * Reads a file's text. Documents whose text is the same as in `before`, what the file held until now, are not read
 * again; objects that say the same as before keep their identity, even where their text changed.
 */
export async function parseDocuments(
  file: string,
  text: string,
  before: KnownBefore,
  limits: FolderLimits,
): Promise<ParsedDocument[]> {
  const parts = splitDocuments(text);
  const reusable = new Reusable(parts, before);
  const result: ParsedDocument[] = [];
  let sliceEnd = performance.now() + SLICE_MS;
  for (const [index, part] of parts.entries()) {
    const document = index + 1;
    const known = reusable.find(part, index);
    if (known !== undefined) {
      result.push(placed(known, part, { file, document }, limits));
      continue;
    }
    result.push(reusable.withOldIdentities(parseDocument(part, { file, document }, limits)));
    if (performance.now() > sliceEnd) {
      await new Promise((resolve) => setImmediate(resolve));
      sliceEnd = performance.now() + SLICE_MS;
    }
  }
  return result;
}

/** What of the documents before can serve again: those in their old place, and the others by their text. */
class Reusable {
  readonly #inPlace: readonly (ParsedDocument | undefined)[];
  readonly #byText: ReadonlyMap<string, ParsedDocument>;
  readonly #kept: Iterable<KnownObject>;
  #byKey: ReadonlyMap<string, KnownObject> | undefined;

  constructor(parts: readonly DocumentText[], { documents, kept }: KnownBefore) {
    this.#inPlace = documents.map((document, index) => (document.text === parts[index]?.text ? document : undefined));
    const others = documents.filter((_, index) => this.#inPlace[index] === undefined);
    this.#byText = new Map(others.map((document) => [document.text, document]));
    this.#kept = kept;
  }

  find({ text }: DocumentText, index: number): ParsedDocument | undefined {
    return this.#inPlace[index] ?? this.#byText.get(text);
  }

  withOldIdentities(document: ParsedDocument): ParsedDocument {
    this.#byKey ??= new Map([...this.#kept].map((object) => [objectKey(object), object]));
    const objects = document.objects.map((object) => {
      const old = this.#byKey?.get(objectKey(object));
      return old !== undefined && isDeepStrictEqual(old, object) ? old : object;
    });
    return { ...document, objects };
  }
}

function parseDocument({ text, line }: DocumentText, origin: Origin, limits: FolderLimits): ParsedDocument {
  const place = { text, line, document: origin.document };
  // A copy: what is parsed out of a piece of the file's text would keep the whole of it in memory.
  const decoded = decodeDocument(text.length > limits.documentLength ? text : Buffer.from(text).toString(), limits);
  if ("value" in decoded) return { ...place, ...parseObjects(decoded.value, deepFreeze(origin)) };
  const where = `document ${origin.document}, line ${line + decoded.line}`;
  const message =
    decoded.code === "document-malformed"
      ? `${where}: this is neither YAML nor JSON: ${decoded.reason}`
      : `${where}: ${decoded.reason}`;
  return {
    ...place,
    objects: [],
    findings: [deepFreeze<Finding>({ severity: "error", code: decoded.code, message, origin })],
  };
}

/** A document whose text is known, at a place that may be new: what it says stays, where it was read from may change. */
function placed(known: ParsedDocument, part: DocumentText, origin: Origin, limits: FolderLimits): ParsedDocument {
  const isBroken = known.objects.length === 0 && known.findings.length > 0;
  if (isBroken && (known.line !== part.line || known.document !== origin.document))
    return parseDocument(part, origin, limits);
  // `part.text`, so that the previous text of the file can be let go of.
  const place = { text: part.text, line: part.line, document: origin.document };
  if (known.document === origin.document) return { ...known, ...place };
  deepFreeze(origin);
  return {
    ...place,
    objects: known.objects.map((object) => Object.freeze({ ...object, origin })),
    findings: known.findings.map((finding) => Object.freeze({ ...finding, origin })),
  };
}

import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { objectKey, refKey } from "./object-key.ts";
import type { ParsedDocument } from "./parse-documents.ts";

/** What one file says, and what it said before that still holds. Immutable: each reading makes the next state. */
export interface FileState {
  readonly path: string;
  /** What it says now; nothing while it cannot be read. */
  readonly documents: readonly ParsedDocument[];
  /** What it said when it could last be read: what need not be parsed again. */
  readonly lastDocuments: readonly ParsedDocument[];
  /** What is wrong with the file as a whole. */
  readonly finding: Finding | undefined;
  /** The last good versions of objects whose documents are broken now, by `objectKey`. */
  readonly held: ReadonlyMap<string, KnownObject>;
  /** Objects that are no longer there, for as long as the file may be in the middle of being written. */
  readonly leaving: ReadonlyMap<string, Leaving>;
  readonly gone: boolean;
}

interface Leaving {
  readonly object: KnownObject;
  /** When it is gone, in milliseconds since the epoch. */
  readonly at: number;
}

/** A reading of a file: its documents, or that it is gone, or that it could not be read. */
export type Reading =
  | { readonly documents: readonly ParsedDocument[] }
  | { readonly gone: true }
  | { readonly unreadable: true; readonly finding?: Finding };

/** `leaveAt` is when objects that this reading no longer finds will be gone. */
export function nextFileState(
  path: string,
  before: FileState | undefined,
  reading: Reading,
  leaveAt: number,
): FileState {
  const past = before === undefined ? new Map<string, KnownObject>() : keptObjects(before);
  const documents = "documents" in reading ? reading.documents : [];
  const held = new Map<string, KnownObject>();
  const leaving = new Map<string, Leaving>();
  for (const { objects } of documents) for (const object of objects) past.delete(objectKey(object));
  const isHeld = past.size === 0 || "gone" in reading ? () => false : holder(before, reading);
  for (const [key, object] of past) {
    if (isHeld(key)) held.set(key, object);
    else leaving.set(key, before?.leaving.get(key) ?? { object, at: leaveAt });
  }
  return {
    path,
    documents,
    lastDocuments: "documents" in reading ? documents : (before?.lastDocuments ?? []),
    finding: "unreadable" in reading ? reading.finding : undefined,
    held,
    leaving,
    gone: "gone" in reading,
  };
}

/** The state without the objects whose time to leave has come; undefined where nothing remains of the file. */
export function settleFileState(state: FileState, now: number): FileState | undefined {
  const staying = [...state.leaving].filter(([, { at }]) => at > now);
  if (state.gone && staying.length === 0) return undefined;
  return staying.length === state.leaving.size ? state : { ...state, leaving: new Map(staying) };
}

/** Everything the file still counts for, by `objectKey`. */
export function keptObjects(state: FileState): Map<string, KnownObject> {
  const all = new Map(state.held);
  for (const [key, { object }] of state.leaving) all.set(key, object);
  for (const { objects } of state.documents) for (const object of objects) all.set(objectKey(object), object);
  return all;
}

/**
 * Decides whether a missing object's document is broken rather than removed: the file cannot be read, or a broken
 * document names it, or a document broke so badly that it names nothing and may have been it. A nameless one that was
 * there before, with the same text, cannot be what has only now gone missing.
 */
function holder(before: FileState | undefined, reading: Exclude<Reading, { gone: true }>): (key: string) => boolean {
  if ("unreadable" in reading) return () => true;
  const brokenRefs = new Set(reading.documents.flatMap(({ findings }) => findings.flatMap(brokenRef)));
  const nameless = reading.documents.filter(isNamelessBroken);
  const known = new Set(before?.lastDocuments.filter(isNamelessBroken).map(({ text }) => text));
  const hasNew = nameless.some(({ text }) => !known.has(text));
  return (key) => hasNew || brokenRefs.has(key) || (nameless.length > 0 && before?.held.has(key) === true);
}

function brokenRef({ severity, object }: Finding): string[] {
  return severity === "error" && object !== undefined ? [refKey(object)] : [];
}

function isNamelessBroken({ findings }: ParsedDocument): boolean {
  return findings.some(isNameless);
}

/** Whether a finding may be about any object: a kind that does not exist names nothing either. */
export function isNameless({ severity, code, object }: Finding): boolean {
  return severity === "error" && (object === undefined || code === "kind-unsupported");
}

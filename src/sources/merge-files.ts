import { describeObject, type Finding, type Origin } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { compareText, refOf } from "../mesh/object.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { append } from "../platform/append.ts";
import { type FileState, isNameless } from "./file-state.ts";
import { objectKey, refKey } from "./object-key.ts";

/** One folder's files, in any order, and what is wrong with the folder. */
export interface FolderContent {
  readonly files: readonly FileState[];
  readonly findings: readonly Finding[];
}

/**
 * Joins what folders say. Within a folder the first object of a name counts, by file path and document, and the
 * others are reported; a later folder silently overrides an earlier one.
 */
export function mergeFolders(folders: readonly FolderContent[]): ObjectSet {
  const merged = new Map<string, KnownObject>();
  const findings: Finding[] = [];
  for (const folder of folders) {
    append(findings, folder.findings);
    const own = mergeFiles(
      folder.files.toSorted((a, b) => compareText(a.path, b.path)),
      findings,
    );
    for (const [key, object] of own) merged.set(key, object);
  }
  return { objects: [...merged].sort(byKey).map(([, object]) => object), findings };
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return compareText(a, b);
}

function mergeFiles(files: readonly FileState[], findings: Finding[]): Map<string, KnownObject> {
  const objects = new Map<string, KnownObject>();
  for (const { documents, finding, held } of files) {
    if (finding !== undefined) findings.push(withConsequence(finding, held));
    for (const document of documents) {
      for (const known of document.findings) findings.push(withConsequence(known, held));
      for (const object of document.objects) {
        const key = objectKey(object);
        const first = objects.get(key);
        if (first === undefined) objects.set(key, object);
        else findings.push(duplicate(object, first));
      }
    }
  }
  // What holds only because of what a file said before comes behind everything that files say now.
  for (const { held, leaving } of files) {
    for (const [key, object] of held) if (!objects.has(key)) objects.set(key, object);
    for (const [key, { object }] of leaving) if (!objects.has(key)) objects.set(key, object);
  }
  return objects;
}

/** Says, with an error, whether anything is still in use. */
function withConsequence(finding: Finding, held: ReadonlyMap<string, KnownObject>): Finding {
  if (finding.severity !== "error" || held.size === 0) return finding;
  if (finding.object !== undefined && !isNameless(finding)) {
    if (!held.has(refKey(finding.object))) return finding;
    return { ...finding, message: `${finding.message}; its last good version stays in use` };
  }
  const names = [...held.values()].map((object) => describeObject(refOf(object)));
  const shown = names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
  return { ...finding, message: `${finding.message}; the last good version of ${shown} stays in use` };
}

function duplicate(object: KnownObject, first: KnownObject): Finding {
  const ref = refOf(object);
  return {
    severity: "error",
    code: "object-duplicate",
    message: `${describeObject(ref)} is already in ${describeOrigin(first.origin)}, which is used: remove one of the two`,
    object: ref,
    ...(object.origin === undefined ? {} : { origin: object.origin }),
  };
}

function describeOrigin(origin: Origin | undefined): string {
  return origin === undefined ? "another place" : `${origin.file}, document ${origin.document}`;
}

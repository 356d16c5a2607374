import { dirname } from "node:path";
import type { Finding } from "../mesh/finding.ts";
import { type FileState, keptObjects, nextFileState, type Reading, settleFileState } from "./file-state.ts";
import type { FolderLimits } from "./limits.ts";
import type { FolderContent } from "./merge-files.ts";
import { readDocuments } from "./read-documents.ts";
import { isReadName, scanFolder } from "./scan-folder.ts";

export interface FolderDeps {
  readonly root: string;
  readonly limits: FolderLimits;
  /** How long an object must be missing before it is gone. */
  readonly settleMs: number;
  now(): number;
  /** Called for each folder that is looked into, before it is. */
  onFolder?(path: string, inode: string): void;
}

/** The content of one root folder, brought up to date on request; remembers what files said before. */
export class Folder {
  readonly root: string;
  readonly #deps: FolderDeps;
  readonly #files = new Map<string, FileState>();
  #stamps: ReadonlyMap<string, string> = new Map();
  #findings: readonly Finding[] = [];
  #hasLinks = false;
  #isMissing = false;
  /** Paths that were read since the last scan began: what it saw of them may be older. */
  readonly #readSince = new Set<string>();

  constructor(deps: FolderDeps) {
    this.#deps = deps;
    this.root = deps.root;
  }

  /** Whether the last scan could not look into the root. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Whether a change to a hidden entry (as `..data` of a mounted ConfigMap) can change what files say. */
  get hasLinks(): boolean {
    return this.#hasLinks;
  }

  content(): FolderContent {
    return { files: [...this.#files.values()], findings: this.#findings };
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  /** Whether files were read from below `path`, as from a folder that may be gone now. */
  hasBelow(path: string): boolean {
    for (const file of this.#files.keys()) if (file.startsWith(`${path}/`)) return true;
    return false;
  }

  isReadPath(path: string): boolean {
    return isReadName(path.slice(path.lastIndexOf("/") + 1), dirname(path) === this.root);
  }

  /** Looks through the whole folder and reads the files that changed. Others may be read `between`. */
  async rescan(between: () => Promise<void>): Promise<void> {
    const { limits, onFolder } = this.#deps;
    this.#readSince.clear();
    const scan = await scanFolder(this.root, {
      maxFiles: limits.files,
      between,
      ...(onFolder === undefined ? {} : { onFolder }),
    });
    this.#isMissing = scan.unreadable.has(this.root);
    this.#hasLinks = scan.hasLinks;
    this.#findings = this.#findingsOf(scan.unreadable, scan.leftOut);
    const before = this.#stamps;
    this.#stamps = scan.files;
    for (const [path, stamp] of scan.files) {
      if (before.get(path) !== stamp || this.#files.get(path)?.gone !== false) await this.read(path);
    }
    for (const [path, state] of [...this.#files]) {
      if (scan.files.has(path) || this.#readSince.has(path)) continue;
      const isUnknown = isBelow(path, scan.unreadable.keys());
      if (isUnknown && (state.gone || state.leaving.size > 0)) this.#apply(path, { unreadable: true });
      else if (!isUnknown && !state.gone) this.#apply(path, { gone: true });
    }
  }

  /** Reads one file again. */
  async read(path: string): Promise<void> {
    const { limits } = this.#deps;
    this.#readSince.add(path);
    const before = this.#files.get(path);
    if (before === undefined && this.#files.size >= limits.files) return;
    const kept = before === undefined ? [] : keptObjects(before).values();
    const reading = await readDocuments(path, { documents: before?.lastDocuments ?? [], kept }, limits);
    if (before !== undefined || !("gone" in reading)) this.#apply(path, reading);
  }

  /** When the next object that is missing will be gone; undefined where none is. */
  nextLeaving(): number | undefined {
    const times = [...this.#files.values()].flatMap(({ leaving }) => [...leaving.values()].map(({ at }) => at));
    return times.length === 0 ? undefined : times.reduce((a, b) => Math.min(a, b));
  }

  /** Lets go of the objects that have been missing for long enough. */
  settle(): void {
    for (const [path, state] of [...this.#files]) {
      const next = settleFileState(state, this.#deps.now());
      if (next === undefined) this.#files.delete(path);
      else this.#files.set(path, next);
    }
  }

  #apply(path: string, reading: Reading): void {
    const leaveAt = this.#deps.now() + this.#deps.settleMs;
    this.#files.set(path, nextFileState(path, this.#files.get(path), reading, leaveAt));
  }

  #findingsOf(unreadable: ReadonlyMap<string, string>, leftOut: number): Finding[] {
    const findings = [...unreadable].map(([file, reason]): Finding => {
      const message = `${file} cannot be looked into (${reason}): what was read from it stays in use, and it is read again as soon as it can be`;
      return { severity: "error", code: "source-unreadable", message, origin: { file, document: 1 } };
    });
    if (leftOut > 0) {
      const message = `${this.root} has ${leftOut} files more than the ${this.#deps.limits.files} that are read: put several documents into one file`;
      findings.push({
        severity: "error",
        code: "source-unreadable",
        message,
        origin: { file: this.root, document: 1 },
      });
    }
    return findings;
  }
}

function isBelow(path: string, folders: Iterable<string>): boolean {
  for (const folder of folders) if (path === folder || path.startsWith(`${folder}/`)) return true;
  return false;
}

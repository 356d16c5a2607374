import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ObjectSet } from "../mesh/object-set.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import { Folder } from "./folder.ts";
import { defaultFolderLimits, type FolderLimits } from "./limits.ts";
import { createListeners, type Listeners } from "./listeners.ts";
import { mergeFolders } from "./merge-files.ts";
import { isGone } from "./scan-folder.ts";
import type { Source } from "./source.ts";
import { watchFolders } from "./watch-folders.ts";

export interface FileSourceDeps {
  /** Root folders; where two hold an object of the same name, the later one counts. */
  readonly dirs: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** How long an object must be missing from its file before it is gone: writers truncate and rename. */
  readonly settleMs?: number;
  /** Between looks through the folders, for changes that no event tells of. */
  readonly pollMs?: number;
  readonly limits?: FolderLimits;
}

/** From the first event to reading, so that changes made together are read together. */
const DEBOUNCE_MS = 5;
/** While a root folder is missing, how often to look for it. */
const MISSING_POLL_MS = 250;

/** Reads every .yaml, .yml and .json below some folders, and follows their changes. docs/configuration.md has the rules. */
export function createFileSource(deps: FileSourceDeps): Source {
  return new FileSource(deps);
}

class FileSource implements Source {
  readonly #deps: FileSourceDeps;
  readonly #watches;
  readonly #folders: readonly Folder[];
  readonly #listeners: Listeners;
  /** Paths with news since the last update. */
  readonly #dirty = new Set<string>();
  #rescan = false;
  #current: ObjectSet = Object.freeze({ objects: [], findings: [] });
  #updating: Promise<void> | undefined;
  #cancelUpdate: (() => void) | undefined;
  #cancelSettle: (() => void) | undefined;
  #poll: { readonly at: number; readonly cancel: () => void } | undefined;
  #started = false;
  #stopped = false;

  constructor(deps: FileSourceDeps) {
    this.#deps = deps;
    this.#listeners = createListeners(deps.log);
    this.#watches = watchFolders({ log: deps.log, onEvent: (path) => this.#onEvent(path) });
    const limits = deps.limits ?? defaultFolderLimits;
    const onFolder = (path: string, inode: string) => {
      if (!this.#stopped) this.#watches.add(path, inode);
    };
    this.#folders = [...new Set(deps.dirs.map((dir) => resolve(dir)))].map(
      (root) => new Folder({ root, limits, settleMs: deps.settleMs ?? 100, now: () => deps.clock.now(), onFolder }),
    );
  }

  async start(): Promise<void> {
    for (const { root } of this.#folders) await assertFolder(root);
    this.#rescan = true;
    await this.#update();
    this.#started = true;
  }

  current(): ObjectSet {
    return this.#current;
  }

  onChange(listener: (set: ObjectSet) => void): () => void {
    return this.#listeners.add(listener);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelUpdate?.();
    this.#cancelSettle?.();
    this.#poll?.cancel();
    this.#watches.close();
    await this.#updating;
  }

  #onEvent(path: string): void {
    this.#dirty.add(path);
    this.#scheduleUpdate();
  }

  #scheduleUpdate(): void {
    if (this.#stopped || this.#cancelUpdate !== undefined || this.#updating !== undefined) return;
    this.#cancelUpdate = this.#deps.clock.after(DEBOUNCE_MS, () => {
      this.#cancelUpdate = undefined;
      void this.#update();
    });
  }

  /** Keeps one poll ahead; a folder that is missing is looked for more often. */
  #schedulePoll(): void {
    const { clock, pollMs = 3000 } = this.#deps;
    const delayMs = this.#folders.some(({ isMissing }) => isMissing) ? Math.min(pollMs, MISSING_POLL_MS) : pollMs;
    const at = clock.now() + delayMs;
    if (this.#stopped || (this.#poll !== undefined && this.#poll.at <= at)) return;
    this.#poll?.cancel();
    const cancel = clock.after(delayMs, () => {
      this.#poll = undefined;
      this.#rescan = true;
      this.#scheduleUpdate();
    });
    this.#poll = { at, cancel };
  }

  /** One update at a time; news that arrive meanwhile make the next one. */
  async #update(): Promise<void> {
    this.#updating = this.#read();
    try {
      await this.#updating;
    } finally {
      this.#updating = undefined;
    }
    if (this.#stopped) return;
    this.#publish();
    this.#scheduleSettle();
    this.#schedulePoll();
    if (this.#dirty.size > 0 || this.#rescan) this.#scheduleUpdate();
  }

  async #read(): Promise<void> {
    const dirty = [...this.#dirty];
    const rescan = this.#rescan;
    this.#dirty.clear();
    this.#rescan = false;
    for (const folder of this.#folders) {
      try {
        const own = dirty.filter((path) => path === folder.root || path.startsWith(`${folder.root}/`));
        const wholly = rescan || (await needsRescan(folder, own));
        if (wholly) {
          await folder.rescan(() => this.#readNews(folder));
          folder.settle();
        }
        if (folder.isMissing) this.#watches.remove(folder.root);
        // An event may come within the same tick of the file system's clock as the last one: read, whatever the scan says.
        for (const path of own) if (folder.isReadPath(path) && (folder.has(path) || !wholly)) await folder.read(path);
      } catch (thrown) {
        this.#deps.log.error({ folder: folder.root, reason: messageOf(thrown) }, "reading a folder failed");
      }
    }
  }

  /** A look through a large folder takes seconds when there is much else to do, and changes of its files do not wait for it. */
  async #readNews(folder: Folder): Promise<void> {
    const news = [...this.#dirty].filter((path) => folder.has(path) && folder.isReadPath(path));
    if (news.length === 0) return;
    for (const path of news) {
      this.#dirty.delete(path);
      await folder.read(path);
    }
    this.#publish();
  }

  #publish(): void {
    const next = mergeFolders(this.#folders.map((folder) => folder.content()));
    const before = this.#current;
    const same = sameObjects(before, next);
    if (same && isDeepStrictEqual(before.findings, next.findings)) return;
    // The list keeps its identity where only findings changed.
    this.#current = Object.freeze({
      objects: same ? before.objects : Object.freeze(next.objects),
      findings: Object.freeze(next.findings),
    });
    if (!this.#started) return;
    this.#listeners.tell(this.#current);
  }

  /** Objects are let go of behind a look through the folders: a whole folder that went is not an object removed. */
  #scheduleSettle(): void {
    const times = this.#folders.flatMap((folder) => folder.nextLeaving() ?? []);
    this.#cancelSettle?.();
    if (times.length === 0) return;
    const delayMs = Math.max(0, Math.min(...times) - this.#deps.clock.now());
    this.#cancelSettle = this.#deps.clock.after(delayMs, () => {
      this.#rescan = true;
      this.#scheduleUpdate();
    });
  }
}

async function assertFolder(root: string): Promise<void> {
  try {
    if ((await stat(root)).isDirectory()) return;
  } catch (cause) {
    const reason = isGone(cause) ? "does not exist" : `cannot be read: ${messageOf(cause)}`;
    throw new TrysailError("not-found", `configuration folder ${root} ${reason}`, { cause });
  }
  throw new TrysailError("not-found", `configuration folder ${root} is not a folder`);
}

/** Whether some of these paths may be folders, or what links lead through, rather than files to read. */
async function needsRescan(folder: Folder, paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    if (path === folder.root) return true;
    if (folder.has(path)) continue;
    if (basename(path).startsWith(".")) {
      if (folder.hasLinks) return true;
      continue;
    }
    if (folder.hasBelow(path)) return true;
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory() === true) return true;
  }
  return false;
}

function sameObjects(a: ObjectSet, b: ObjectSet): boolean {
  return a.objects.length === b.objects.length && a.objects.every((object, index) => object === b.objects[index]);
}

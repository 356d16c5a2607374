import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";

export interface FolderWatches {
  /** Watches the entries of one folder, if it is not watched yet. */
  add(path: string, inode: string): void;
  /** Stops watching everything at or below a path. */
  remove(path: string): void;
  close(): void;
}

/**
 * Watches folders one by one, which tells of entries that come, go and change in each, on every platform. `onEvent`
 * gets the path of the entry, or that of the folder where the system does not say which entry it was. Where a watch
 * cannot be had (the system's limit), one warning says so and only the slow poll remains.
 */
export function watchFolders(deps: { log: Logger; onEvent(path: string): void }): FolderWatches {
  const watches = new Map<string, { inode: string; watcher: FSWatcher }>();
  let warned = false;

  function drop(path: string): void {
    watches.get(path)?.watcher.close();
    watches.delete(path);
  }

  function failed(path: string, thrown: unknown): void {
    drop(path);
    if (!warned)
      deps.log.warn(
        { folder: path, reason: messageOf(thrown) },
        "cannot watch a folder: changes are noticed by polling",
      );
    warned = true;
  }

  return {
    add(path, inode) {
      if (watches.get(path)?.inode === inode) return;
      drop(path);
      try {
        const watcher = watch(path, { persistent: false }, (_event, name) => {
          deps.onEvent(name === null ? path : join(path, name));
        });
        watcher.on("error", (thrown) => {
          failed(path, thrown);
          deps.onEvent(path);
        });
        watches.set(path, { inode, watcher });
      } catch (thrown) {
        failed(path, thrown);
      }
    },
    remove(path) {
      for (const watched of watches.keys()) if (watched === path || watched.startsWith(`${path}/`)) drop(watched);
    },
    close() {
      for (const path of watches.keys()) drop(path);
    },
  };
}

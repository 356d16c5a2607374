import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { compareText } from "../mesh/object.ts";
import { messageOf } from "../platform/errors.ts";

/** A look through a folder: names and times, no content. */
export interface FolderScan {
  /** Path of each file to read, to a text that changes with its content. */
  readonly files: ReadonlyMap<string, string>;
  /** Paths that could not be looked into, and why: what was below them is unknown, not gone. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** How many files were left out because there are too many. */
  readonly leftOut: number;
  /** Whether something here is a symbolic link: its target can change without an event in the folder. */
  readonly hasLinks: boolean;
}

interface ScanOptions {
  readonly maxFiles: number;
  /** Called for each folder before it is listed, so that a watch set up here misses nothing. `inode` tells it from one that took its name. */
  onFolder?(path: string, inode: string): void;
}

/** The dev runner's file of commands, beside the manifests. */
const RUNNER_FILE = "images.yaml";
const EXTENSION = /\.(ya?ml|json)$/;

/** Looks through `root` and everything below it; links are followed, each folder is visited once. */
export async function scanFolder(root: string, options: ScanOptions): Promise<FolderScan> {
  const files = new Map<string, string>();
  const unreadable = new Map<string, string>();
  const visited = new Set<string>();
  let leftOut = 0;
  let hasLinks = false;

  async function visitFolder(path: string, inode: string): Promise<void> {
    if (visited.has(inode)) return;
    visited.add(inode);
    options.onFolder?.(path, inode);
    const entries = await readdir(path, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => compareText(a.name, b.name))) {
      if (!isReadName(entry.name, path === root) && !mayBeFolder(entry)) continue;
      if (entry.name.startsWith(".")) continue;
      hasLinks ||= entry.isSymbolicLink();
      await visit(join(path, entry.name), isReadName(entry.name, path === root));
    }
  }

  async function visit(path: string, isRead: boolean): Promise<void> {
    try {
      const stats = await stat(path, { bigint: true });
      if (stats.isDirectory()) await visitFolder(path, `${stats.dev}:${stats.ino}`);
      else if (stats.isFile() && isRead) {
        if (files.size < options.maxFiles)
          files.set(path, `${stats.mtimeNs}:${stats.ctimeNs}:${stats.size}:${stats.ino}`);
        else leftOut++;
      }
    } catch (thrown) {
      if (path === root || !isGone(thrown)) unreadable.set(path, messageOf(thrown));
    }
  }

  await visit(root, true);
  return { files, unreadable, leftOut, hasLinks };
}

/** Whether a file of this name is read; hidden ones are not. */
export function isReadName(name: string, inRoot: boolean): boolean {
  return EXTENSION.test(name) && !name.startsWith(".") && !(inRoot && name === RUNNER_FILE);
}

/** Whether an error says that there is nothing (any more) at a path. */
export function isGone(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && (thrown.code === "ENOENT" || thrown.code === "ENOTDIR");
}

function mayBeFolder(entry: { isDirectory(): boolean; isSymbolicLink(): boolean; isFile(): boolean }): boolean {
  return entry.isDirectory() || entry.isSymbolicLink() || !entry.isFile();
}

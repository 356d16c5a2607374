import type { BigIntStats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
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
  /** Called again and again, for what cannot wait until the whole folder was looked through. */
  between?(): Promise<void>;
}

/** The dev runner's file of commands, beside the manifests. */
const RUNNER_FILE = "images.yaml";
/** One after the other, each would wait for a turn of the event loop: there may be thousands of files, and few turns. */
const LOOKS_AT_ONCE = 64;
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
    const entries = (await readdir(path, { withFileTypes: true }))
      .filter((entry) => !entry.name.startsWith(".") && (isReadName(entry.name, path === root) || mayBeFolder(entry)))
      .sort((a, b) => compareText(a.name, b.name));
    hasLinks ||= entries.some((entry) => entry.isSymbolicLink());
    for (let start = 0; start < entries.length; start += LOOKS_AT_ONCE) {
      const paths = entries.slice(start, start + LOOKS_AT_ONCE).map(({ name }) => join(path, name));
      await options.between?.();
      const looks = await Promise.allSettled(paths.map(lookAt));
      for (const [index, look] of looks.entries()) await visit(paths[index] ?? path, look);
    }
  }

  async function visit(path: string, look: PromiseSettledResult<BigIntStats>): Promise<void> {
    try {
      if (look.status === "rejected") throw look.reason;
      const stats = look.value;
      if (stats.isDirectory()) await visitFolder(path, `${stats.dev}:${stats.ino}`);
      else if (stats.isFile() && isReadName(basename(path), dirname(path) === root)) {
        if (files.size < options.maxFiles)
          files.set(path, `${stats.mtimeNs}:${stats.ctimeNs}:${stats.size}:${stats.ino}`);
        else leftOut++;
      }
    } catch (thrown) {
      if (path === root || !isGone(thrown)) unreadable.set(path, messageOf(thrown));
    }
  }

  const [look] = await Promise.allSettled([lookAt(root)]);
  await visit(root, look);
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

function lookAt(path: string): Promise<BigIntStats> {
  return stat(path, { bigint: true });
}

function mayBeFolder(entry: { isDirectory(): boolean; isSymbolicLink(): boolean; isFile(): boolean }): boolean {
  return entry.isDirectory() || entry.isSymbolicLink() || !entry.isFile();
}

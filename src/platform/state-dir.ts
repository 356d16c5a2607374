import { type FileHandle, link, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { messageOf, TrysailError } from "./errors.ts";

/**
 * The folder in which one machine keeps what must outlive a restart. Names are relative, such as `ca/root-key.pem`.
 * A reader sees a file as it was before a write or after it, never between, whatever crashes; what a crash leaves
 * over has a name that starts with a dot and is never read.
 */
export interface StateDir {
  readonly path: string;
  /** Undefined where there is no such file. */
  readState(name: string): Promise<Buffer | undefined>;
  /** Replaces the file. On disk when it resolves. */
  writeStateAtomically(name: string, bytes: Uint8Array | string, mode: number): Promise<void>;
  /**
   * Makes a folder with all its files at once, on disk when it resolves. Answers false, and changes nothing, where
   * the folder has files already: of several processes that try, one wins and the others read what it wrote.
   */
  createStateFolder(folder: string, files: readonly StateFile[]): Promise<boolean>;
  /** Makes a file, whole and on disk when it resolves. Answers false, and changes nothing, where there is one already. */
  createStateFile(name: string, bytes: Uint8Array | string, mode: number): Promise<boolean>;
  /** Names of the files and folders in a folder, in order; none where there is no such folder. */
  listState(folder: string): Promise<string[]>;
  /** Does nothing where there is no such file. */
  removeState(name: string): Promise<void>;
  /** Removes what writes that were killed left over beside this file, if they had begun long before it was written. */
  removeLeftovers(name: string): Promise<void>;
}

export interface StateFile {
  readonly name: string;
  readonly bytes: Uint8Array | string;
  readonly mode: number;
}

/** Opens the folder, and makes it (mode 0700) where it is missing. Throws where anybody else could read it. */
export async function openStateDir(path: string): Promise<StateDir> {
  const root = resolve(path);
  await mkdir(root, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw stateError(`the state folder ${root} cannot be made`, error);
  });
  await assertPrivate(root);
  return {
    path: root,
    readState: (name) => readState(pathOf(root, name)),
    writeStateAtomically: (name, bytes, mode) => writeAtomically(pathOf(root, name), bytes, mode),
    createStateFolder: (folder, files) => createFolder(pathOf(root, folder), files),
    createStateFile: (name, bytes, mode) => createFile(pathOf(root, name), bytes, mode),
    listState: (folder) => listFolder(pathOf(root, folder)),
    removeState: (name) => removeFile(pathOf(root, name)),
    removeLeftovers: (name) => removeLeftovers(pathOf(root, name)),
  };
}

/** The same for who makes no keys: a folder that is not there is a mistake in its name. */
export async function openExistingStateDir(path: string): Promise<StateDir> {
  const root = resolve(path);
  await stat(root).catch((error: unknown) => {
    if (!isSystemError(error, "ENOENT")) throw stateError(`the state folder ${root} cannot be read`, error);
    throw new TrysailError("not-found", `there is no state folder ${root}: trysail serve makes it`);
  });
  return openStateDir(root);
}

/** Keys lie in it, so a folder that others can enter may already have been read: say so, and mend nothing silently. */
async function assertPrivate(root: string): Promise<void> {
  const found = await stat(root).catch((error: unknown) => {
    throw stateError(`the state folder ${root} cannot be read`, error);
  });
  if (!found.isDirectory()) throw new TrysailError("failed-precondition", `the state folder ${root} is not a folder`);
  if ((found.mode & 0o077) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
    throw new TrysailError(
      "failed-precondition",
      `the state folder ${root} holds private keys but has mode ${mode}, so others can enter it: run chmod 700 ${root}, or name another folder`,
    );
  }
  const self = process.getuid?.();
  if (self !== undefined && found.uid !== self) {
    throw new TrysailError(
      "failed-precondition",
      `the state folder ${root} holds private keys but belongs to user ${found.uid}, and this process is user ${self}: run as its owner, run chown ${self} ${root}, or name another folder`,
    );
  }
}

/** Names are the program's own; this keeps a mistake there from leaving the folder. */
function pathOf(root: string, name: string): string {
  const clean = name.split("/").every((part) => part !== "" && !part.startsWith("."));
  if (!clean) throw new TrysailError("internal", `not a name in the state folder: ${name}`);
  return join(root, name);
}

async function readState(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw stateError(`the state file ${path} cannot be read`, error);
  }
}

async function writeAtomically(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  try {
    await placeFile(path, bytes, mode, rename);
  } catch (error) {
    throw stateError(`the state file ${path} cannot be written`, error);
  }
}

async function createFolder(path: string, files: readonly StateFile[]): Promise<boolean> {
  const parent = dirname(path);
  try {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    const temporary = await mkdtemp(join(parent, `.${basename(path)}.`));
    try {
      for (const file of files) await writeNewFile(join(temporary, file.name), file.bytes, file.mode);
      await syncFolder(temporary);
      // rename(2) replaces an empty folder but refuses one with files: the one step that decides who was first.
      await rename(temporary, path);
      await syncFolder(parent);
      return true;
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      if (isSystemError(error, "ENOTEMPTY") || isSystemError(error, "EEXIST")) return false;
      throw error;
    }
  } catch (error) {
    throw stateError(`the state folder ${path} cannot be written`, error);
  }
}

async function createFile(path: string, bytes: Uint8Array | string, mode: number): Promise<boolean> {
  let made = false;
  try {
    await placeFile(path, bytes, mode, async (from, to) => {
      made = await linkNew(from, to);
    });
    return made;
  } catch (error) {
    throw stateError(`the state file ${path} cannot be written`, error);
  }
}

/** False where the name is taken, which link(2) refuses; rename(2) would replace it. */
async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (isSystemError(error, "EEXIST")) return false;
    throw error;
  }
}

/** Writes the file beside its place, and gives it its name once it is whole: by rename(2) or link(2). */
async function placeFile(
  path: string,
  bytes: Uint8Array | string,
  mode: number,
  place: (from: string, to: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = await mkdtemp(join(folder, `.${basename(path)}.`));
  try {
    await writeNewFile(join(temporary, "new"), bytes, mode);
    await place(join(temporary, "new"), path);
    await syncFolder(folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function listFolder(path: string): Promise<string[]> {
  try {
    const names = await readdir(path);
    return names.filter((name) => !name.startsWith(".")).sort();
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return [];
    throw stateError(`the state folder ${path} cannot be read`, error);
  }
}

async function removeFile(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return;
    throw stateError(`the state file ${path} cannot be removed`, error);
  }
}

/** As `mkdtemp` below names them. */
const LEFTOVER = /^\..+\.[A-Za-z0-9]{6}$/;
/** Another process may be writing, which takes milliseconds. */
const LEFTOVER_MS = 60_000;

async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  try {
    const { mtimeMs } = await stat(path);
    for (const name of await readdir(folder)) {
      if (!LEFTOVER.test(name)) continue;
      const leftover = join(folder, name);
      const begun = await stat(leftover);
      if (begun.mtimeMs < mtimeMs - LEFTOVER_MS) await rm(leftover, { recursive: true, force: true });
    }
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return;
    throw stateError(`what is left over in the state folder ${folder} cannot be removed`, error);
  }
}

async function writeNewFile(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  await withFile(await open(path, "wx", mode), async (file) => {
    await file.writeFile(bytes);
    await file.sync();
  });
}

/** A rename is on disk only once the folder that holds the name is. */
async function syncFolder(path: string): Promise<void> {
  await withFile(await open(path, "r"), (folder) => folder.sync());
}

async function withFile(file: FileHandle, use: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function stateError(what: string, cause: unknown): TrysailError {
  return new TrysailError("failed-precondition", `${what}: ${messageOf(cause)}`, { cause });
}

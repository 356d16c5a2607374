import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { Finding, Origin } from "../mesh/finding.ts";
import { messageOf } from "../platform/errors.ts";
import type { Reading } from "./file-state.ts";
import type { FolderLimits } from "./limits.ts";
import { type KnownBefore, parseDocuments } from "./parse-documents.ts";
import { isGone } from "./scan-folder.ts";

/** Reads and parses one file; whatever is wrong with it is in the reading. */
export async function readDocuments(path: string, before: KnownBefore, limits: FolderLimits): Promise<Reading> {
  try {
    const read = await readText(path, limits);
    if (typeof read === "string") return { documents: await parseDocuments(path, read, before, limits) };
    return read;
  } catch (thrown) {
    return isGone(thrown)
      ? { gone: true }
      : unreadable("source-unreadable", path, `cannot be read (${messageOf(thrown)})`);
  }
}

async function readText(path: string, limits: FolderLimits): Promise<string | Reading> {
  // Opened without blocking: should the name have come to be a pipe, reading it would wait for ever.
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const stats = await file.stat();
  if (!stats.isFile()) return { gone: true };
  if (stats.size > limits.fileBytes) {
    const reason = `has ${mebibytes(stats.size)} MiB, more than the ${mebibytes(limits.fileBytes)} MiB that are read: split it`;
    return unreadable("document-too-large", path, reason);
  }
  const bytes = await file.readFile();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return unreadable("document-malformed", path, "is not UTF-8 text: save it as UTF-8");
  }
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function unreadable(code: Finding["code"], file: string, reason: string): Reading {
  const origin: Origin = Object.freeze({ file, document: 1 });
  const finding: Finding = { severity: "error", code, message: `${file} ${reason}`, origin };
  return { unreadable: true, finding: Object.freeze(finding) };
}

import { execFile, execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { messageOf } from "../../src/platform/errors.ts";

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL("../../.cache", import.meta.url));
const PROGRAM = join(CACHE, "certificate-check");

/** A lint that a file does not pass; `status` is `notice`, `warn`, `error` or `fatal`. */
export interface LintFinding {
  readonly file: string;
  readonly lint: string;
  readonly status: string;
  readonly details: string;
}

/** The names in the certificates of a handshake, as each side of it read the other's. */
export interface SeenNames {
  readonly byServer: readonly string[];
  readonly byClient: readonly string[];
  readonly version: string;
}

/**
 * Builds the program of `check`, zlint and Go's TLS, which does nothing where Go's own cache has it. False where it is
 * there, else why not: what `skip` of node:test takes.
 */
export function certificateCheckMissing(): string | false {
  try {
    const cwd = fileURLToPath(new URL("./check", import.meta.url));
    mkdirSync(CACHE, { recursive: true });
    // Two test files may build it at once. What is linked on the same file system is moved into its place; else it is written
    // there, while the other file may be running what it has built.
    const env = { ...process.env, GOTMPDIR: CACHE };
    execFileSync("go", ["build", "-mod=readonly", "-buildvcs=false", "-o", PROGRAM, "."], { cwd, env, stdio: "pipe" });
    return false;
  } catch (error) {
    return `no zlint: it is built by Go 1.25 or newer, and that failed: ${messageOf(error).slice(0, 300)}`;
  }
}

/** What zlint finds in the first certificate of each PEM file. */
export function lintCertificates(files: readonly string[]): Promise<readonly LintFinding[]> {
  return check<readonly LintFinding[]>("lint", ...files);
}

/** What zlint finds in the first revocation list of each PEM file. */
export function lintRevocationLists(files: readonly string[]): Promise<readonly LintFinding[]> {
  return check<readonly LintFinding[]>("lint-list", ...files);
}

/** Mutual TLS by Go; the files of both sides hold a chain and its key. Rejects where either side refuses. */
export function goHandshake(files: { server: string; client: string; roots: string }): Promise<SeenNames> {
  return check<SeenNames>("handshake", files.server, files.client, files.roots);
}

async function check<T>(...args: string[]): Promise<T> {
  const { stdout } = await run(PROGRAM, args);
  const answer: T = JSON.parse(stdout);
  return answer;
}

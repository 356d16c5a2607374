import { execFile, execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { messageOf } from "../../src/platform/errors.ts";

const run = promisify(execFile);
const PROGRAM = fileURLToPath(new URL("../../.cache/certificate-check", import.meta.url));

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
    execFileSync("go", ["build", "-mod=readonly", "-buildvcs=false", "-o", PROGRAM, "."], { cwd, stdio: "pipe" });
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

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** What the real openssl prints on standard output. Rejects with its complaint where it refuses. */
export async function openssl(...args: string[]): Promise<string> {
  const { stdout } = await run("openssl", args);
  return stdout;
}

/** `openssl x509 -text` of a PEM file, as lines without indentation. */
export async function opensslText(pemFile: string): Promise<string[]> {
  const text = await openssl("x509", "-in", pemFile, "-noout", "-text", "-nameopt", "RFC2253");
  return text.split("\n").map((line) => line.trim());
}

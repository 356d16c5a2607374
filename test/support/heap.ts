import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { type ServeOptions, type ServeProcess, serveProcess } from "./serve-process.ts";
import { temporaryPath } from "./state.ts";
import { until } from "./until.ts";

const SNAPSHOTS = fileURLToPath(new URL("./snapshot-heaps.ts", import.meta.url));

export interface ServeWithHeaps extends ServeProcess {
  /** Everything that the heaps have as text now, strings in full: of `main`, and of each further thread. */
  heaps(): Promise<ReadonlyMap<string, string>>;
}

/** `trysail serve`, into whose memory one may look, once. */
export async function serveWithHeaps(t: TestContext, options: ServeOptions = {}): Promise<ServeWithHeaps> {
  const folder = await temporaryPath(t, "heap");
  await mkdir(folder);
  const mesh = await serveProcess(t, {
    ...options,
    cwd: folder,
    nodeFlags: [`--import=${SNAPSHOTS}`, "--heap-snapshot-string-limit=1000000"],
  });
  return {
    ...mesh,
    async heaps() {
      mesh.child.kill("SIGUSR2");
      await until("the snapshots", async () => (await readdir(folder)).includes("all-written"), {
        timeoutMs: 180_000,
        everyMs: 200,
      });
      const names = (await readdir(folder)).filter((name) => name.endsWith(".heap"));
      const read = names.map(
        async (name) => [name.slice(0, -".heap".length), await readFile(join(folder, name), "latin1")] as const,
      );
      return new Map(await Promise.all(read));
    },
  };
}

/** A secret's name, and the texts of which any would tell it. */
export type SecretTexts = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Which of the secrets a heap holds, in which form. */
export function secretsIn(heap: string, secrets: SecretTexts): string[] {
  return Object.entries(secrets).flatMap(([title, forms]) =>
    Object.entries(forms).flatMap(([form, text]) => {
      assert.ok(text.length >= 16, `${title}: ${form}`);
      return heap.includes(text) ? [`${title}: ${form}`] : [];
    }),
  );
}

/** Private keys in the forms in which a text could hold them: parts of their PEM and DER, and the number of their JWK. */
export function formsOf(pemOrJwk: string): Record<string, string> {
  const key = pemOrJwk.startsWith("{")
    ? createPrivateKey({ key: JSON.parse(pemOrJwk), format: "jwk" })
    : createPrivateKey(pemOrJwk);
  const der = key.export({ type: "pkcs8", format: "der" });
  const { d = "" } = key.export({ format: "jwk" });
  const scalar = Buffer.from(d, "base64url");
  // The number stands at 36 of the 138 bytes; a line of PEM ends at the 64th digit.
  assert.equal(der.subarray(36, 68).compare(scalar), 0);
  const base64 = der.toString("base64");
  return {
    "PEM, first line": base64.slice(48, 64),
    "PEM, second line": base64.slice(64, 90),
    "DER in hex": scalar.toString("hex"),
    "DER in capital hex": scalar.toString("hex").toUpperCase(),
    "base64 of the number": scalar.toString("base64").slice(0, 43),
    JWK: d,
    "latin1 of DER": JSON.stringify(scalar.toString("latin1")).slice(1, -1),
    "bytes one by one": scalar.join(","),
  };
}

/** A signed token's part that nobody can make up. */
export function signatureOf(token: string): Record<string, string> {
  return { signature: token.split(".")[2] ?? "" };
}

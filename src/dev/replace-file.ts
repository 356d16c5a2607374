import { rename, writeFile } from "node:fs/promises";

/** Readers see the old content or the new, never a part. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.next`, text, { mode: 0o600 });
  await rename(`${path}.next`, path);
}

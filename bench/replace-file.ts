import { rename, writeFile } from "node:fs/promises";

/** A program that watches the folder must never see half a file. */
export async function replaceFile(path: string, content: object): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(content));
  await rename(`${path}.new`, path);
}

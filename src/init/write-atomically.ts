import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** A reader sees the old file or all of the new one, which everyone may read. Makes the folder where it is missing. */
export async function writeAtomically(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "w", 0o644);
  try {
    await file.writeFile(text);
    // Whatever the process's umask.
    await file.chmod(0o644);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

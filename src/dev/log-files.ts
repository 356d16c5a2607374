import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";

/** The last lines of a log; none where it cannot be read. */
export async function lastLines(file: string, count: number): Promise<string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .slice(-count);
}

const POLL_MS = 250;

/** Passes on what is added to the logs whose file name contains `part`, line by line. Returns the stop. */
export function followLogs(
  clock: Clock,
  folder: string,
  part: string,
  onLine: (file: string, line: string) => void,
): () => void {
  const offsets = new Map<string, { offset: number; rest: string }>();
  let stopped = false;

  async function look(): Promise<void> {
    for (const file of (await readdir(folder).catch(() => [])).filter((name) => name.includes(part))) {
      const known = offsets.get(file) ?? { offset: 0, rest: "" };
      const added = await readFrom(join(folder, file), known.offset).catch(() => Buffer.alloc(0));
      const lines = (known.rest + added.toString("utf8")).split("\n");
      offsets.set(file, { offset: known.offset + added.length, rest: lines.pop() ?? "" });
      for (const line of lines) onLine(file, line);
    }
    if (!stopped) clock.after(POLL_MS, () => void look());
  }

  void look();
  return () => {
    stopped = true;
  };
}

async function readFrom(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.max(0, size - offset));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

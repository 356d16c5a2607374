/** To be preloaded into a program: at SIGUSR2 it writes a snapshot of the heap of each of its threads into its folder. */
import { createWriteStream } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { getHeapSnapshot } from "node:v8";
import { isMainThread, type Worker } from "node:worker_threads";

const workers = new Set<Worker>();

async function write(name: string, snapshot: Readable): Promise<void> {
  await pipeline(snapshot, createWriteStream(`${name}.part`));
  await rename(`${name}.part`, `${name}.heap`);
}

async function writeAll(): Promise<void> {
  let count = 0;
  for (const worker of workers) await write(`thread-${++count}`, await worker.getHeapSnapshot());
  await write("main", getHeapSnapshot());
  await writeFile("all-written", "");
}

if (isMainThread) {
  process.on("worker", (worker) => {
    workers.add(worker);
    worker.once("exit", () => workers.delete(worker));
  });
  process.on("SIGUSR2", () => void writeAll());
}

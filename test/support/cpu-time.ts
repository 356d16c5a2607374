import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

/**
 * Runs what must not take long however clumsy its input is, and answers what it answers. This thread's processor time
 * is what counts: the time on the wall would say what else the machine does.
 */
export function withinCpuMs<T>(limitMs: number, run: () => T): T {
  const before = process.threadCpuUsage();
  const answer = run();
  const { user, system } = process.threadCpuUsage(before);
  const tookMs = (user + system) / 1000;
  assert.ok(tookMs < limitMs, `it took ${tookMs} ms, of ${limitMs} at most`);
  return answer;
}

/** Linux counts them in hundredths of a second for whoever asks, whatever its own clock does: `proc_pid_stat(5)`. */
const MS_PER_TICK = 10;

/** The processor time that a process's main thread, where Node's event loop runs, has taken so far. */
export async function eventLoopCpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/task/${pid}/stat`, "utf8");
  // Behind the program's name, which may hold anything, the fields from the third on: utime is the 14th, stime the 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

import assert from "node:assert/strict";

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

import { setTimeout as sleep } from "node:timers/promises";

/**
 * Waits until `read` answers anything but undefined, null or false, and returns that. A rejection counts as not yet.
 * Rejects after `timeoutMs` with `what` and the last answer or error.
 */
export async function until<T>(
  what: string,
  read: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs = 20 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await read();
      if (answer !== undefined && answer !== null && answer !== false) return answer as NonNullable<Exclude<T, false>>;
      last = answer;
    } catch (thrown) {
      last = thrown;
    }
    if (performance.now() > deadline) {
      throw new Error(
        `waited ${timeoutMs} ms for ${what}; last: ${last instanceof Error ? last.message : String(last)}`,
      );
    }
    await sleep(everyMs);
  }
}

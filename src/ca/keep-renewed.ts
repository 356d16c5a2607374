import type { Clock } from "../platform/clock.ts";
import type { Random } from "../platform/random.ts";

export interface RenewalDeps<T> {
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  make(): Promise<T>;
  made(value: T): void;
  /** What was made before stays in use; the next attempt is in `retryMs`. */
  failed(error: unknown, retryMs: number): void;
}

/** Renewals of many workloads that started together spread over a tenth of the lifetime. */
const EARLIEST_SHARE = 0.5;
const JITTER_SHARE = 0.1;
/** A clock that was set, or a machine that slept, is noticed within this time. It also keeps setTimeout in its range. */
const LONGEST_WAIT_MS = 60_000;
const SHORTEST_LIFE_MS = 1000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

/** Makes something that expires at once, and anew whenever 50 to 60 % of its life have passed. Returns the stop. */
export function keepRenewed<T extends { readonly notAfter: number }>(deps: RenewalDeps<T>): () => void {
  let stopped = false;
  let cancelTimer = (): void => {};
  let failures = 0;

  const waitUntil = (dueAt: number): void => {
    const remainingMs = dueAt - deps.clock.now();
    cancelTimer = deps.clock.after(Math.min(Math.max(remainingMs, 0), LONGEST_WAIT_MS), () => {
      if (deps.clock.now() < dueAt) waitUntil(dueAt);
      else void run();
    });
  };

  const run = async (): Promise<void> => {
    const startedAt = deps.clock.now();
    let value: T;
    try {
      value = await deps.make();
    } catch (error) {
      if (stopped) return;
      const retryMs = retryDelayMs(failures++, deps.random.fraction());
      waitUntil(deps.clock.now() + retryMs);
      deps.failed(error, retryMs);
      return;
    }
    if (stopped) return;
    failures = 0;
    waitUntil(renewalTime(startedAt, value.notAfter, deps.random.fraction()));
    deps.made(value);
  };

  void run();
  return () => {
    stopped = true;
    cancelTimer();
  };
}

/** 50 to 60 % into the life, wherever `fraction` (0 to 1) falls. Milliseconds since the epoch. */
export function renewalTime(startedAt: number, notAfter: number, fraction: number): number {
  const lifeMs = Math.max(notAfter - startedAt, SHORTEST_LIFE_MS);
  return startedAt + lifeMs * (EARLIEST_SHARE + JITTER_SHARE * fraction);
}

/** Doubles from a second to half a minute with each failure in a row, of which up to half is taken off at random. */
export function retryDelayMs(failuresBefore: number, fraction: number): number {
  const fullMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failuresBefore, 10), LONGEST_RETRY_MS);
  return fullMs * (1 - fraction / 2);
}

import type { Clock } from "../../platform/clock.ts";
import type { Random } from "../../platform/random.ts";

export interface RenewalDeps<T> {
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  make(): Promise<T>;
  made(value: T): void;
  /** What was made before stays in use; the next attempt is in `retryMs`. */
  failed(error: unknown, retryMs: number): void;
}

/** Renewals of many workloads that started together spread over three tenths of the lifetime. */
const EARLIEST_SHARE = 0.5;
const JITTER_SHARE = 0.3;
/** A clock that was set, or a machine that slept, is noticed within this time. It also keeps setTimeout in its range. */
const LONGEST_WAIT_MS = 60_000;
const SHORTEST_LIFE_MS = 1000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

export interface Renewal {
  /** Makes it anew at a moment within `windowMs` that chance chooses, where that is before it was due. */
  renewWithin(windowMs: number): void;
  stop(): void;
}

/** Makes something that expires: at once, and anew whenever 50 to 80 % of its life have passed. */
export function keepRenewed<T extends { readonly notAfter: number }>(deps: RenewalDeps<T>): Renewal {
  let stopped = false;
  /** When the next one is due; null while one is made. */
  let due: number | null = null;
  /** Asked for while one was being made, which may have begun too early for what it was asked for. */
  let againWithinMs: number | null = null;
  let cancelTimer = (): void => {};
  let failures = 0;

  /**
   * Where the clock is set back beyond `since`, what was made then begins to hold in the future, and what is due may be as
   * far away as the clock had been ahead.
   */
  const waitUntil = (dueAt: number, since: number): void => {
    due = dueAt;
    const remainingMs = dueAt - deps.clock.now();
    cancelTimer = deps.clock.after(Math.min(Math.max(remainingMs, 0), LONGEST_WAIT_MS), () => {
      const now = deps.clock.now();
      if (since <= now && now < dueAt) waitUntil(dueAt, since);
      else void run();
    });
  };

  const run = async (): Promise<void> => {
    due = null;
    const startedAt = deps.clock.now();
    let value: T;
    try {
      value = await deps.make();
    } catch (error) {
      if (stopped) return;
      const retryMs = retryDelayMs(failures++, deps.random.fraction());
      const failedAt = deps.clock.now();
      waitUntil(failedAt + retryMs, failedAt);
      deps.failed(error, retryMs);
      return;
    }
    if (stopped) return;
    failures = 0;
    waitUntil(renewalTime(startedAt, value.notAfter, deps.random.fraction()), startedAt);
    if (againWithinMs !== null) renewWithin(againWithinMs);
    againWithinMs = null;
    deps.made(value);
  };

  const renewWithin = (windowMs: number): void => {
    if (stopped) return;
    if (due === null) {
      againWithinMs = windowMs;
      return;
    }
    const now = deps.clock.now();
    const at = now + windowMs * deps.random.fraction();
    if (at >= due) return;
    cancelTimer();
    waitUntil(at, now);
  };

  void run();
  return {
    renewWithin,
    stop() {
      stopped = true;
      cancelTimer();
    },
  };
}

/** 50 to 80 % into the life, wherever `fraction` (0 to 1) falls. Milliseconds since the epoch. */
export function renewalTime(startedAt: number, notAfter: number, fraction: number): number {
  const lifeMs = Math.max(notAfter - startedAt, SHORTEST_LIFE_MS);
  return startedAt + lifeMs * (EARLIEST_SHARE + JITTER_SHARE * fraction);
}

/** Doubles from a second to half a minute with each failure in a row, of which up to half is taken off at random. */
export function retryDelayMs(failuresBefore: number, fraction: number): number {
  const fullMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failuresBefore, 10), LONGEST_RETRY_MS);
  return fullMs * (1 - fraction / 2);
}

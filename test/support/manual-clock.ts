import type { Clock } from "../../src/platform/clock.ts";

export interface ManualClock extends Clock {
  /** Moves time on, running each timer that falls due at its own moment, in order, also those that others set. */
  advance(ms: number): void;
  /** Sets the time of day alone, as an administrator or NTP does. */
  set(ms: number): void;
  /** How many timers wait. */
  pending(): number;
}

interface Timer {
  readonly dueAt: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that stands still until a test moves it. */
export function createManualClock(startMs: number): ManualClock {
  const timers = new Set<Timer>();
  /** What `now` is ahead of what has elapsed. */
  let aheadMs = 0;
  let nowMs = startMs;
  let order = 0;

  const nextDue = (untilMs: number): Timer | undefined =>
    [...timers]
      .filter((timer) => timer.dueAt <= untilMs)
      .sort((a, b) => a.dueAt - b.dueAt || a.order - b.order)
      .at(0);

  return {
    now: () => nowMs + aheadMs,
    elapsed: () => nowMs,
    after(delayMs, run) {
      const timer = { dueAt: nowMs + Math.max(0, delayMs), order: order++, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance(ms) {
      const untilMs = nowMs + ms;
      for (let timer = nextDue(untilMs); timer !== undefined; timer = nextDue(untilMs)) {
        timers.delete(timer);
        nowMs = timer.dueAt;
        timer.run();
      }
      nowMs = untilMs;
    },
    set(ms) {
      aheadMs = ms - nowMs;
    },
    pending: () => timers.size,
  };
}

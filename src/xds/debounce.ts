import type { Clock } from "../platform/clock.ts";

/** Merges change events into as few as are worth acting on. */
export interface Debounce<E> {
  push(event: E): void;
  /** Drops what is pending. */
  stop(): void;
}

/**
 * Ordinary events are flushed together once none came for `quietMs`, and at the latest `maxWaitMs` after the first.
 * Urgent ones (endpoints: a proxy may be sending to a pod that is gone) are flushed with the next turn of the event
 * loop, on their own, without waiting for ordinary ones or pushing them back.
 */
export function createDebounce<E>(options: {
  readonly quietMs: number;
  readonly maxWaitMs: number;
  readonly clock: Clock;
  readonly isUrgent: (event: E) => boolean;
  readonly flush: (events: readonly E[]) => void;
}): Debounce<E> {
  const { clock, quietMs, maxWaitMs } = options;
  const ordinary = createLane();
  const urgent = createLane();
  let firstAt = 0;

  function createLane() {
    let events: E[] = [];
    let cancel = () => {};
    return {
      add(event: E): void {
        events.push(event);
      },
      flushAfter(delayMs: number): void {
        cancel();
        cancel = clock.after(delayMs, () => {
          const flushed = events;
          events = [];
          options.flush(flushed);
        });
      },
      get waits(): boolean {
        return events.length > 0;
      },
      drop(): void {
        cancel();
        events = [];
      },
    };
  }

  return {
    push(event) {
      if (options.isUrgent(event)) {
        // Not put off by those that follow, or a steady stream of them would never be flushed.
        if (!urgent.waits) urgent.flushAfter(0);
        urgent.add(event);
        return;
      }
      const now = clock.elapsed();
      if (!ordinary.waits) firstAt = now;
      ordinary.add(event);
      ordinary.flushAfter(Math.max(0, Math.min(quietMs, firstAt + maxWaitMs - now)));
    },
    stop() {
      ordinary.drop();
      urgent.drop();
    },
  };
}

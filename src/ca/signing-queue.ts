import type { Clock } from "../platform/clock.ts";
import { FairPlaces } from "../platform/fair-places.ts";
import { Refusal } from "./refusal.ts";

export interface SigningQueueOptions {
  /** Tasks at one time: enough to keep every core busy, few enough that other work gets its turn. */
  readonly atOnce: number;
  /** Tasks that may wait; beyond them callers are sent away at once, rather than left to time out. */
  readonly maxWaiting: number;
  /** Where a task can take long: whoever has waited so long for its turn is sent away as well. */
  readonly patience?: { readonly ms: number; readonly clock: Pick<Clock, "after"> } | undefined;
}

export interface SigningQueue {
  /**
   * Runs a task once it is the turn of its owner, who is whoever asks. Owners take turns, and the tasks of one run in the
   * order in which they came. Rejects with a Refusal where too many wait and nobody has more of them waiting.
   */
  run<T>(owner: string, task: () => Promise<T>): Promise<T>;
  readonly waiting: number;
}

/** What a caller that was sent away should wait before it asks again. */
export const OVERLOAD_RETRY_MS = 1000;

interface Waiter {
  start(): void;
  refuse(): void;
}

/** Bounds how much signing goes on at one time and how much can pile up, and lets nobody keep the others out. */
export function createSigningQueue(options: SigningQueueOptions): SigningQueue {
  /** By owner, in the order of their turns. */
  const waiters = new Map<string, Set<Waiter>>();
  const places = new FairPlaces<Waiter>({ places: options.maxWaiting, onTaken: (waiter) => waiter.refuse() });
  const { patience } = options;
  const whenTooLong = (run: () => void) => patience?.clock.after(patience.ms, run) ?? (() => {});
  let running = 0;
  let waiting = 0;

  function leave(owner: string, waiter: Waiter): void {
    const own = waiters.get(owner);
    if (own?.delete(waiter) !== true) return;
    waiting--;
    if (own.size === 0) waiters.delete(owner);
  }

  function finish(): void {
    const [first] = waiters;
    if (first === undefined) {
      running--;
      return;
    }
    // The turn goes over to the next one, so that nobody who comes in between takes it.
    const [owner, own] = first;
    const [next] = own;
    waiters.delete(owner);
    waiters.set(owner, own);
    if (next === undefined) return;
    leave(owner, next);
    places.remove(owner, next);
    next.start();
  }

  function turn(owner: string): Promise<void> | undefined {
    if (running < options.atOnce) {
      running++;
      return undefined;
    }
    return new Promise<void>((start, reject) => {
      const waiter: Waiter = {
        start() {
          cancel();
          start();
        },
        refuse() {
          cancel();
          leave(owner, waiter);
          reject(new Refusal("overloaded", "too many requests: ask again in a second"));
        },
      };
      const own = waiters.get(owner) ?? new Set();
      waiters.set(owner, own.add(waiter));
      waiting++;
      const cancel = whenTooLong(() => {
        places.remove(owner, waiter);
        waiter.refuse();
      });
      places.add(owner, waiter);
    });
  }

  return {
    async run(owner, task) {
      await turn(owner);
      try {
        return await task();
      } finally {
        finish();
      }
    },
    get waiting() {
      return waiting;
    },
  };
}

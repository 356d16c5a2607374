import { Refusal } from "./refusal.ts";

export interface SigningQueueOptions {
  /** Tasks at one time: enough to keep every core busy, few enough that other work gets its turn. */
  readonly atOnce: number;
  /** Tasks that may wait; beyond them callers are sent away at once, rather than left to time out. */
  readonly maxWaiting: number;
}

export interface SigningQueue {
  /** Runs tasks in the order in which they came. Rejects with a Refusal where too many wait. */
  run<T>(task: () => Promise<T>): Promise<T>;
  readonly waiting: number;
}

/** What a caller that was sent away should wait before it asks again. */
export const OVERLOAD_RETRY_MS = 1000;

/** Bounds how much signing goes on at one time, and how much can pile up. */
export function createSigningQueue(options: SigningQueueOptions): SigningQueue {
  const starts = new Set<() => void>();
  let running = 0;

  function finish(): void {
    const [next] = starts;
    if (next === undefined) {
      running--;
      return;
    }
    // The turn goes over to the next one, so that nobody who comes in between takes it.
    starts.delete(next);
    next();
  }

  async function turn(): Promise<void> {
    if (running >= options.atOnce) {
      if (starts.size >= options.maxWaiting)
        throw new Refusal("overloaded", "too many requests: ask again in a second");
      return new Promise<void>((resolve) => starts.add(resolve));
    }
    running++;
  }

  return {
    async run(task) {
      await turn();
      try {
        return await task();
      } finally {
        finish();
      }
    },
    get waiting() {
      return starts.size;
    },
  };
}

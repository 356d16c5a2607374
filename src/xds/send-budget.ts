import type { Clock } from "../platform/clock.ts";

/**
 * Bounds the bytes that all streams together have handed to the network and that it has not taken yet, so that a
 * thousand proxies that connect at once are served one after the other, in the order in which they asked, instead of
 * all lying in memory. A stream decides what to send when its turn comes, so that it skips what it need not send.
 */
export interface SendBudget {
  /** Calls `start` once bytes are free, at once if they are. `start` takes what it sends. Returns the cancellation. */
  whenFree(start: () => void): () => void;
  /**
   * Counts `bytes` until the returned function is called, or until the proxy has had `holdMs` to read them: a proxy
   * that does not read must not keep the others waiting.
   */
  take(bytes: number): () => void;
  readonly bytesInFlight: number;
  /** How many wait for bytes to be free. */
  readonly waiting: number;
}

export function createSendBudget(options: {
  readonly maxBytes: number;
  readonly holdMs: number;
  readonly clock: Pick<Clock, "after">;
}): SendBudget {
  const waiting = new Set<() => void>();
  let inFlight = 0;
  let serving = false;

  function serve(): void {
    // A `start` that finishes at once comes back here: one loop serves all, so the stack does not grow.
    if (serving) return;
    serving = true;
    try {
      for (const start of waiting) {
        if (inFlight >= options.maxBytes) break;
        waiting.delete(start);
        start();
      }
    } finally {
      serving = false;
    }
  }

  return {
    whenFree(start) {
      waiting.add(start);
      serve();
      return () => waiting.delete(start);
    },
    take(bytes) {
      inFlight += bytes;
      let held = true;
      const release = () => {
        if (!held) return;
        held = false;
        cancel();
        inFlight -= bytes;
        serve();
      };
      const cancel = options.clock.after(options.holdMs, release);
      return release;
    },
    get bytesInFlight() {
      return inFlight;
    },
    get waiting() {
      return waiting.size;
    },
  };
}

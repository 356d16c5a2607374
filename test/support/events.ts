/** A callback that counts its calls, and a promise for the next of them. */
export interface CallCounter {
  readonly call: () => void;
  count(): number;
  /** Resolves at the next call behind this one. */
  next(): Promise<void>;
}

export function createCallCounter(): CallCounter {
  let count = 0;
  let waiting: (() => void)[] = [];
  return {
    call() {
      count++;
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
    },
    count: () => count,
    next: () => new Promise((resolve) => waiting.push(resolve)),
  };
}

/** Lets a few of many run at a time, and everything else of the process in between. */
export interface RenewalTurns {
  run<T>(task: () => Promise<T>): Promise<T>;
}

/**
 * A herd that comes all at once is worked off `atOnce` at a time, each behind a turn of the event loop: what arrives
 * meanwhile on other streams, and probes, waits for one of them and not for all.
 */
export function createRenewalTurns({ atOnce }: { readonly atOnce: number }): RenewalTurns {
  const waiting: (() => void)[] = [];
  let running = 0;

  const begin = (): Promise<void> | undefined => {
    if (running < atOnce) {
      running++;
      return undefined;
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
  // Whoever waits takes over the place of the one that ends.
  const end = (): void => {
    const next = waiting.shift();
    if (next === undefined) running--;
    else setImmediate(next);
  };

  return {
    async run(task) {
      await begin();
      try {
        return await task();
      } finally {
        end();
      }
    },
  };
}

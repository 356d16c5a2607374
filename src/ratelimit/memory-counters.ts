import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import type { Charge, Charged, CounterStore } from "./counter-store.ts";

interface Count {
  value: number;
  readonly endMs: number;
}

/** About 200 MB of them. */
const MOST_COUNTS = 1_000_000;
const SWEEP_MS = 10_000;

/** Counts in this process alone: for one machine, where nothing else asks and a restart may begin anew. */
export function createMemoryCounters(clock: Clock, mostCounts = MOST_COUNTS): CounterStore {
  const counts = new Map<string, Count>();
  let cancel = clock.after(SWEEP_MS, sweep);

  function sweep(): void {
    const now = clock.now();
    for (const [key, { endMs }] of counts) if (endMs <= now) counts.delete(key);
    cancel = clock.after(SWEEP_MS, sweep);
  }

  function charge(charges: readonly Charge[]): Charged {
    const now = clock.now();
    const found = charges.map(({ key }) => {
      const count = counts.get(key);
      return count !== undefined && count.endMs > now ? count : undefined;
    });
    const before = found.map((count) => count?.value ?? 0);
    const isAdded = charges.every(
      ({ hits, limit }, index) => limit === null || (before[index] ?? 0) + hits <= limit || hits === 0,
    );
    if (!isAdded) return { before, isAdded };
    if (counts.size + charges.length > mostCounts) {
      throw new TrysailError("unavailable", `there are ${mostCounts} counts in memory already: count in Redis`);
    }
    for (const { key, hits, ttlMs } of charges) {
      const count = counts.get(key);
      if (count !== undefined && count.endMs > now) count.value += hits;
      else counts.set(key, { value: hits, endMs: now + ttlMs });
    }
    return { before, isAdded };
  }

  return {
    charge: async (charges) => charge(charges),
    notReady: () => null,
    stop: async () => cancel(),
  };
}

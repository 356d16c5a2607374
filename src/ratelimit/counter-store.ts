/** Hits to be added to one count. */
export interface Charge {
  readonly key: string;
  readonly hits: number;
  /** A count that would be more refuses the whole request; null refuses nothing. */
  readonly limit: number | null;
  /** How long the count is of use. */
  readonly ttlMs: number;
}

/** What the counts were before, in the order of the charges, and whether the hits were added. */
export interface Charged {
  readonly before: readonly number[];
  readonly isAdded: boolean;
}

/** Where counts are kept. */
export interface CounterStore {
  /** Adds all hits at once, or none where one of the limits is used up. Rejects with `unavailable`. */
  charge(charges: readonly Charge[]): Promise<Charged>;
  /** Null where counting works, else why not. */
  notReady(): string | null;
  stop(): Promise<void>;
}

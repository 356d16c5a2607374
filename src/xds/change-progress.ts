/** How many changes are followed at one time: behind a proxy that never answers, the oldest are given up. */
const MAX_OPEN = 1000;

interface OpenChange {
  readonly seenAtMs: number;
  /** Streams that have not answered for it yet. */
  waiting: number;
}

/**
 * Follows each change of the mesh from when it was first seen until the last stream that was open then has been sent,
 * and has answered, what it meant for it, or has ended. Changes are numbered; a stream holds the number that it has come to.
 */
export class ChangeProgress {
  readonly #open = new Map<number, OpenChange>();
  readonly #converged: (seenAtMs: number) => void;
  #latest = 0;

  /** `converged` is called once a change, however many streams there are; of none, at once. */
  constructor(converged: (seenAtMs: number) => void) {
    this.#converged = converged;
  }

  /** The number of the last change: what a stream that reads its configuration now has read. */
  get latest(): number {
    return this.#latest;
  }

  /** `streams` are open, and none of them has read its configuration since the change. */
  begin(seenAtMs: number, streams: number): void {
    this.#latest++;
    if (streams === 0) {
      this.#converged(seenAtMs);
      return;
    }
    this.#open.set(this.#latest, { seenAtMs, waiting: streams });
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#open.delete(oldest);
  }

  /** A stream that had answered for all up to `from` has now done so for all up to `to`. */
  answered(from: number, to: number): void {
    for (let number = from + 1; number <= to; number++) {
      const change = this.#open.get(number);
      if (change === undefined || --change.waiting > 0) continue;
      this.#open.delete(number);
      this.#converged(change.seenAtMs);
    }
  }
}

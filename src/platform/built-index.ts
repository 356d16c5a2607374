import { sameMembers } from "./same-members.ts";

/** By what a result is known: its builder, and that one's whole input, compared by identity (===). */
export interface Built {
  readonly build: unknown;
  readonly input: readonly unknown[];
}

/** Up to so many are quicker looked through than told apart by a key. */
const FEW = 16;

/** Finds one of few results as fast as one of tens of thousands: one object may ask for that many. */
export class BuiltIndex<B extends Built> {
  #all: B[] = [];
  /** Buckets, by a text that equal inputs share; null while they are few. */
  #buckets: Map<string, B[]> | null = null;
  #ids = new WeakMap<object, number>();
  #lastId = 0;
  #sweptIn = -1;

  find(build: unknown, input: readonly unknown[]): B | undefined {
    const candidates = this.#buckets === null ? this.#all : this.#buckets.get(this.#textOf(build, input));
    return candidates?.find((one) => one.build === build && sameMembers(one.input, input));
  }

  add(built: B): void {
    this.#all.push(built);
    if (this.#buckets !== null) this.#put(this.#buckets, built);
    else if (this.#all.length > FEW) this.#fill();
  }

  /** Drops all others; only the first time that it is called in a round. */
  keepOnce(round: number, isKept: (built: B) => boolean): void {
    if (this.#sweptIn === round) return;
    this.#sweptIn = round;
    const kept = this.#all.filter(isKept);
    if (kept.length === this.#all.length) return;
    this.#all = kept;
    if (kept.length > FEW) this.#fill();
    else this.#buckets = null;
  }

  #fill(): void {
    const buckets = new Map<string, B[]>();
    for (const built of this.#all) this.#put(buckets, built);
    this.#buckets = buckets;
  }

  #put(buckets: Map<string, B[]>, built: B): void {
    const text = this.#textOf(built.build, built.input);
    const bucket = buckets.get(text);
    if (bucket === undefined) buckets.set(text, [built]);
    else bucket.push(built);
  }

  #textOf(build: unknown, input: readonly unknown[]): string {
    let text = String(this.#nameOf(build));
    for (const part of input) text += `\n${this.#nameOf(part)}`;
    return text;
  }

  #nameOf(part: unknown): unknown {
    if ((typeof part !== "object" && typeof part !== "function") || part === null) return part;
    let id = this.#ids.get(part);
    if (id === undefined) {
      id = ++this.#lastId;
      this.#ids.set(part, id);
    }
    return id;
  }
}

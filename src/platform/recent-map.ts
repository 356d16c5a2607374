/**
 * Keeps what was set or asked for last, up to a total weight. What is asked for lives on among the young; when these weigh
 * half of what may be kept they become the old, and the old that nobody asked for meanwhile are forgotten all at once.
 */
export class RecentMap<V> {
  readonly #maxWeight: number;
  #young = new Map<string, Weighed<V>>();
  #old = new Map<string, Weighed<V>>();
  #youngWeight = 0;
  #oldWeight = 0;

  constructor(maxWeight: number) {
    this.#maxWeight = maxWeight;
  }

  /** Never more than was allowed. */
  get weight(): number {
    return this.#youngWeight + this.#oldWeight;
  }

  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young.value;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.set(key, old.value, old.weight);
    return old.value;
  }

  /** What weighs more than half of what may be kept is not. */
  set(key: string, value: V, weight: number): void {
    this.#forget(key);
    if (weight > this.#maxWeight / 2) return;
    if (this.#youngWeight + weight > this.#maxWeight / 2) {
      this.#old = this.#young;
      this.#oldWeight = this.#youngWeight;
      this.#young = new Map();
      this.#youngWeight = 0;
    }
    this.#young.set(key, { value, weight });
    this.#youngWeight += weight;
  }

  #forget(key: string): void {
    const young = this.#young.get(key);
    if (young !== undefined && this.#young.delete(key)) this.#youngWeight -= young.weight;
    const old = this.#old.get(key);
    if (old !== undefined && this.#old.delete(key)) this.#oldWeight -= old.weight;
  }
}

interface Weighed<V> {
  readonly value: V;
  readonly weight: number;
}

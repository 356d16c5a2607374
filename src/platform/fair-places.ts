export interface FairPlacesOptions<T> {
  readonly places: number;
  /** Of a place that is gone: for somebody else's sake, or because it was one too many when it was asked for. */
  onTaken(item: T): void;
}

/**
 * A number of places. Where more are wanted, whoever has the most gives up the newest of them, so that nobody, by taking
 * ever more, keeps the others out. Among those with the most it is who comes just now, if that is one of them.
 */
export class FairPlaces<T> {
  readonly #options: FairPlacesOptions<T>;
  readonly #ofOwner = new Map<string, Set<T>>();
  /** By how many places they have: to look for the largest must cost nothing while everything is taken. */
  readonly #owners: Set<string>[] = [];
  #taken = 0;

  constructor(options: FairPlacesOptions<T>) {
    this.#options = options;
  }

  add(owner: string, item: T): void {
    const items = this.#ofOwner.get(owner) ?? new Set<T>();
    this.#ofOwner.set(owner, items);
    this.#resize(owner, items, () => items.add(item));
    if (this.#taken <= this.#options.places) return;
    const largest = this.#owners.at(-1) ?? new Set<string>();
    const [first = owner] = largest;
    if (largest.has(owner)) this.#take(owner, item);
    else this.#take(first, this.#newestOf(first));
  }

  /** Does nothing where it has no place (any more). */
  remove(owner: string, item: T): void {
    const items = this.#ofOwner.get(owner);
    if (items === undefined || !items.has(item)) return;
    this.#resize(owner, items, () => items.delete(item));
    if (items.size === 0) this.#ofOwner.delete(owner);
  }

  #take(owner: string, item: T | undefined): void {
    if (item === undefined) return;
    this.remove(owner, item);
    this.#options.onTaken(item);
  }

  #newestOf(owner: string): T | undefined {
    return [...(this.#ofOwner.get(owner) ?? [])].at(-1);
  }

  #resize(owner: string, items: Set<T>, change: () => void): void {
    const before = items.size;
    change();
    this.#taken += items.size - before;
    this.#owners[before]?.delete(owner);
    if (items.size > 0) this.#ownersOf(items.size).add(owner);
    while (this.#owners.length > 0 && this.#owners.at(-1)?.size === 0) this.#owners.pop();
  }

  #ownersOf(size: number): Set<string> {
    for (let length = this.#owners.length; length <= size; length++) this.#owners.push(new Set());
    return this.#owners[size] ?? new Set();
  }
}

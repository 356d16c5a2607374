import { hash } from "node:crypto";
import { onceForBoth } from "../platform/once-for.ts";

/** An immutable set of resource names. Made by a `NameTable`, where equal sets are one object. */
export class NameSet {
  readonly names: ReadonlySet<string>;

  constructor(names: ReadonlySet<string>) {
    this.names = names;
  }

  get size(): number {
    return this.names.size;
  }

  has(name: string): boolean {
    return this.names.has(name);
  }
}

/** A few for each view of the mesh that many proxies share; what hostile ones fill them with is bounded by a request's size. */
const RECENT = 8;

/**
 * Makes equal sets of names one object, so that a hundred proxies which ask for the same thousand names share one
 * set, and so that whatever is derived from it (a selection, a response) can be found by identity.
 */
export class NameTable {
  readonly empty: NameSet;
  readonly #byKey = new Map<string, WeakRef<NameSet>>();
  readonly #swept = new FinalizationRegistry<string>((key) => {
    if (this.#byKey.get(key)?.deref() === undefined) this.#byKey.delete(key);
  });
  /** What requests said last, the latest first: an acknowledgement in state-of-the-world repeats every name. */
  #recent: readonly { readonly wire: Buffer; readonly set: NameSet }[] = [];
  readonly #sumOf = onceForBoth((a: NameSet, b: NameSet) => this.of([...a.names, ...b.names]));
  readonly #intersectionOf = onceForBoth((a: NameSet, b: NameSet) =>
    this.of([...a.names].filter((name) => b.has(name))),
  );
  readonly #differenceOf = onceForBoth((a: NameSet, b: NameSet) =>
    this.of([...a.names].filter((name) => !b.has(name))),
  );

  constructor() {
    this.empty = this.of([]);
  }

  of(names: Iterable<string>): NameSet {
    const unique = new Set(names);
    // Names come from proxies and may hold any character: their lengths keep one set from being written as another.
    const key = hash(
      "sha256",
      [...unique]
        .sort()
        .map((name) => `${name.length}:${name}`)
        .join(""),
      "base64url",
    );
    return this.#found(key) ?? this.#keep(key, new NameSet(unique));
  }

  /**
   * The set whose names a request carries as these bytes (any encoding, as long as equal bytes mean equal names).
   * Seen lately, it costs a comparison; seen before, a hash.
   */
  ofWire(bytes: Uint8Array, decode: () => Iterable<string>): NameSet {
    if (bytes.length === 0) return this.empty;
    const known = this.#recent.find(({ wire }) => wire.equals(bytes));
    if (known !== undefined) return known.set;
    const key = `wire:${hash("sha256", bytes, "base64url")}`;
    const set = this.#found(key) ?? this.#keep(key, this.of(decode()));
    this.#recent = [{ wire: Buffer.from(bytes), set }, ...this.#recent.slice(0, RECENT - 1)];
    return set;
  }

  sum(a: NameSet, b: NameSet): NameSet {
    if (b.size === 0 || a === b) return a;
    if (a.size === 0) return b;
    return this.#sumOf(a, b);
  }

  intersection(a: NameSet, b: NameSet): NameSet {
    if (a.size === 0 || a === b) return a;
    return this.#intersectionOf(a, b);
  }

  difference(a: NameSet, b: NameSet): NameSet {
    if (a.size === 0 || b.size === 0) return a;
    return this.#differenceOf(a, b);
  }

  #found(key: string): NameSet | undefined {
    return this.#byKey.get(key)?.deref();
  }

  #keep(key: string, set: NameSet): NameSet {
    this.#byKey.set(key, new WeakRef(set));
    this.#swept.register(set, key);
    return set;
  }
}

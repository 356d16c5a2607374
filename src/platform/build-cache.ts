import { isDeepStrictEqual } from "node:util";
import { type Built, BuiltIndex } from "./built-index.ts";
import { sameMembers } from "./same-members.ts";

export interface BuildCacheOptions {
  /** For tests: build again at each hit, and throw where the result differs, as an undeclared input would show. */
  readonly verify?: boolean;
}

/** Something built, and the whole of what it was built from. */
interface Entry extends Built {
  readonly value: unknown;
  usedIn: number;
}

/**
 * Keeps what pure builders made. The whole input is the key, compared by identity (===), which is right because mesh
 * objects are frozen and keep their identity for as long as their content is the same. The first input must be an
 * object, best the one that fewest results share: everything built from it is dropped with it. Of what it is still
 * there for, a result that two rounds had no use for makes room for the next. A round in which nobody asked is none.
 */
export class BuildCache {
  readonly #entries = new WeakMap<object, BuiltIndex<Entry>>();
  readonly #verify: boolean;
  #lists = new Map<string, readonly unknown[]>();
  #lastLists = new Map<string, readonly unknown[]>();
  #round = 0;
  #asked = false;
  readonly #counts: { built: number; reused: number };

  constructor(options: BuildCacheOptions = {}, counts = { built: 0, reused: 0 }) {
    this.#verify = options.verify ?? false;
    this.#counts = counts;
  }

  /** How often a builder ran since the start, for metrics. */
  get built(): number {
    return this.#counts.built;
  }

  /** How often its result was at hand. */
  get reused(): number {
    return this.#counts.reused;
  }

  /**
   * For the parts of what this one keeps whole: nobody asks for them as long as it does, so they have rounds of their
   * own. Counted together.
   */
  ofParts(): BuildCache {
    return new BuildCache({ verify: this.#verify }, this.#counts);
  }

  get<I extends readonly [object, ...unknown[]], V>(build: (...input: I) => V, ...input: I): V {
    this.#asked = true;
    const entries = this.#entries.get(input[0]) ?? new BuiltIndex<Entry>();
    const known = entries.find(build, input);
    if (known !== undefined) {
      this.#counts.reused++;
      known.usedIn = this.#round;
      if (this.#verify && !isDeepStrictEqual(build(...input), known.value)) {
        throw new Error(`${build.name} read something that is not among its inputs`);
      }
      return known.value as V;
    }
    this.#counts.built++;
    const value = build(...input);
    // Looked up again: what was built may have come with results of its own for the same object.
    const last = this.#round - 1;
    const kept = this.#entries.get(input[0]) ?? entries;
    kept.keepOnce(this.#round, ({ usedIn }) => usedIn >= last);
    kept.add({ build, input, value, usedIn: this.#round });
    this.#entries.set(input[0], kept);
    return value;
  }

  /**
   * A list that keeps its identity while its members are the same, so that it can be part of an input. `key` says
   * which list it is; one that a round did not ask for is forgotten.
   */
  list<T>(key: string, members: readonly T[]): readonly T[] {
    this.#asked = true;
    for (const known of [this.#lists.get(key), this.#lastLists.get(key)]) {
      if (known !== undefined && sameMembers(known, members)) {
        this.#lists.set(key, known);
        return known as readonly T[];
      }
    }
    this.#lists.set(key, members);
    return members;
  }

  /** To be called between one snapshot of the world and the next. */
  endRound(): void {
    if (!this.#asked) return;
    this.#asked = false;
    this.#round++;
    this.#lastLists = this.#lists;
    this.#lists = new Map();
  }
}

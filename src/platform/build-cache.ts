import { isDeepStrictEqual } from "node:util";

/** One step of the trie: what belongs to an object is held weakly and goes when the object goes. */
class Step {
  readonly #byObject = new WeakMap<object, Step>();
  readonly #byPrimitive = new Map<unknown, Step>();
  built: { readonly value: unknown } | undefined;

  next(input: unknown): Step {
    return typeof input === "object" && input !== null
      ? getOrAdd(this.#byObject, input)
      : getOrAdd(this.#byPrimitive, input);
  }
}

function getOrAdd<K>(steps: { get(key: K): Step | undefined; set(key: K, step: Step): unknown }, key: K): Step {
  let step = steps.get(key);
  if (step === undefined) {
    step = new Step();
    steps.set(key, step);
  }
  return step;
}

export interface BuildCacheOptions {
  /** For tests: build again at each hit, and throw where the result differs, as an undeclared input would show. */
  readonly verify?: boolean;
}

/**
 * Keeps what pure builders made. The whole input is the key, compared by identity (===), which is right because mesh
 * objects are frozen and keep their identity for as long as their content is the same. The first input must be an
 * object: everything built from it is dropped with it.
 */
export class BuildCache {
  readonly #roots = new Map<unknown, Step>();
  readonly #verify: boolean;
  /** Counted since the start, for metrics: how often a builder ran, and how often its result was at hand. */
  built = 0;
  reused = 0;

  constructor(options: BuildCacheOptions = {}) {
    this.#verify = options.verify ?? false;
  }

  get<I extends readonly [object, ...unknown[]], V>(build: (...input: I) => V, ...input: I): V {
    let step = getOrAdd(this.#roots, build);
    for (const part of input) step = step.next(part);
    if (step.built === undefined) {
      this.built++;
      step.built = { value: build(...input) };
    } else {
      this.reused++;
      if (this.#verify && !isDeepStrictEqual(build(...input), step.built.value)) {
        throw new Error(`${build.name} read something that is not among its inputs`);
      }
    }
    return step.built.value as V;
  }
}

/** Keeps a list's identity while its members are the same, so that it can be part of a cache key. */
export class StableLists {
  #last = new Map<string, readonly unknown[]>();
  #next = new Map<string, readonly unknown[]>();

  get<T>(key: string, list: readonly T[]): readonly T[] {
    for (const known of [this.#next.get(key), this.#last.get(key)]) {
      if (known !== undefined && sameMembers(known, list)) {
        this.#next.set(key, known);
        return known as readonly T[];
      }
    }
    this.#next.set(key, list);
    return list;
  }

  /** Ends a round: lists that were not asked for in it are forgotten. */
  endRound(): void {
    this.#last = this.#next;
    this.#next = new Map();
  }
}

function sameMembers(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((member, i) => member === b[i]);
}

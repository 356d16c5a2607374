import { isDeepStrictEqual } from "node:util";
import { deepFreeze } from "../mesh/deep-freeze.ts";
import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { compareText } from "../mesh/object.ts";
import { readObject } from "../mesh/parse-object.ts";
import type { KindSchema } from "../mesh/schemas.ts";
import type { KubernetesObject } from "./object.ts";
import { trimObject } from "./trim-object.ts";

export interface KindStoreOptions {
  readonly entry: KindSchema;
  /** Called once for each change that `objects` or `findings` tell of. */
  onChange(): void;
}

interface Entry {
  /** The last good version. */
  readonly object: KnownObject | undefined;
  /** What is wrong with the current one. */
  readonly findings: readonly Finding[];
}

/** The objects of one kind as an API server has told of them, parsed; of one that became bad, the last good version. */
export class KindStore {
  readonly #options: KindStoreOptions;
  readonly #entries = new Map<string, Entry>();
  /** Keys that differ from what `#sorted` was made of. */
  readonly #changed = new Set<string>();
  #sorted: readonly (readonly [key: string, object: KnownObject])[] = [];
  #objects: readonly KnownObject[] = [];

  constructor(options: KindStoreOptions) {
    this.#options = options;
  }

  /** What is added until `end` is all there is. */
  beginList(): { add(items: readonly KubernetesObject[]): void; end(): void } {
    const listed = new Set<string>();
    return {
      add: (items) => {
        for (const item of items) {
          const key = keyOf(item);
          if (key === undefined) continue;
          listed.add(key);
          this.#put(key, item);
        }
      },
      end: () => {
        for (const key of [...this.#entries.keys()]) if (!listed.has(key)) this.#remove(key);
      },
    };
  }

  put(object: KubernetesObject): void {
    const key = keyOf(object);
    if (key !== undefined) this.#put(key, object);
  }

  remove(object: KubernetesObject): void {
    const key = keyOf(object);
    if (key !== undefined) this.#remove(key);
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.#remove(key);
  }

  /** In order of namespace and name. The list keeps its identity while nothing changes in it. */
  objects(): readonly KnownObject[] {
    if (this.#changed.size > 0) {
      const changed = [...this.#changed].sort(compareText).flatMap((key) => {
        const object = this.#entries.get(key)?.object;
        return object === undefined ? [] : [[key, object] as const];
      });
      const kept = this.#sorted.filter(([key]) => !this.#changed.has(key));
      this.#changed.clear();
      this.#sorted = merge(kept, changed);
      this.#objects = Object.freeze(this.#sorted.map(([, object]) => object));
    }
    return this.#objects;
  }

  findings(): readonly Finding[] {
    const withFindings = [...this.#entries].filter(([, { findings }]) => findings.length > 0);
    return withFindings.sort(([a], [b]) => compareText(a, b)).flatMap(([, { findings }]) => findings);
  }

  #put(key: string, value: KubernetesObject): void {
    const { entry, onChange } = this.#options;
    const before = this.#entries.get(key);
    const parsed = readObject(trimObject(value, entry));
    const object = latest(before?.object, parsed.object);
    const findings = parsed.findings.map((finding) => withConsequence(finding, object));
    if (before !== undefined && before.object === object && isDeepStrictEqual(before.findings, findings)) return;
    this.#entries.set(key, { object, findings: deepFreeze(findings) });
    if (before?.object !== object) this.#changed.add(key);
    onChange();
  }

  #remove(key: string): void {
    if (!this.#entries.delete(key)) return;
    this.#changed.add(key);
    this.#options.onChange();
  }
}

/** `now`, but as the same object where it says the same as before. */
function latest(before: KnownObject | undefined, now: KnownObject | undefined): KnownObject | undefined {
  if (now === undefined || (before !== undefined && isDeepStrictEqual(before, now))) return before;
  return deepFreeze(now);
}

function withConsequence(finding: Finding, held: KnownObject | undefined): Finding {
  if (finding.severity !== "error" || held === undefined) return finding;
  return { ...finding, message: `${finding.message}; its last good version stays in use` };
}

/** Sorts as namespace and name do. */
function keyOf({ metadata: { namespace = "", name } }: KubernetesObject): string | undefined {
  return name === undefined ? undefined : `${namespace}\0${name}`;
}

type Sorted = readonly (readonly [key: string, object: KnownObject])[];

/** Both are in order and share no key. */
function merge(a: Sorted, b: Sorted): Sorted {
  const merged: (readonly [string, KnownObject])[] = [];
  let next = 0;
  for (const pair of a) {
    for (let other = b[next]; other !== undefined && other[0] < pair[0]; other = b[next]) {
      merged.push(other);
      next++;
    }
    merged.push(pair);
  }
  for (const pair of b.slice(next)) merged.push(pair);
  return merged;
}

import { addToList } from "../platform/add-to-list.ts";

/** Things in an order, found by names that they have: the first of thousands are found without looking at the others. */
export class NamedItems<T> {
  #lists = new Map<string, Placed<T>[]>();
  #size = 0;

  /** Adds one behind those that are there. */
  add(item: T, names: Iterable<string>): void {
    const placed = { at: this.#size++, item };
    for (const name of names) addToList(this.#lists, name, placed);
  }

  /** The first ones, up to `most`, that have one of the names and are wanted. */
  first(most: number, names: ReadonlySet<string>, isWanted: (item: T) => boolean): readonly T[] {
    const found = new Map<number, T>();
    for (const list of this.#listsOf(names)) {
      let left = most;
      for (const { at, item } of list) {
        if (left === 0) break;
        if (!isWanted(item)) continue;
        found.set(at, item);
        left--;
      }
    }
    return [...found]
      .sort(([a], [b]) => a - b)
      .slice(0, most)
      .map(([, item]) => item);
  }

  /** By the names or by the lists, whichever are fewer. */
  *#listsOf(names: ReadonlySet<string>): Iterable<readonly Placed<T>[]> {
    if (names.size <= this.#lists.size) {
      for (const name of names) yield this.#lists.get(name) ?? [];
    } else {
      for (const [name, list] of this.#lists) if (names.has(name)) yield list;
    }
  }
}

interface Placed<T> {
  readonly at: number;
  readonly item: T;
}

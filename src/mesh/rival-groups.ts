import { addToList } from "../platform/add-to-list.ts";
import { NamedItems } from "./named-items.ts";
import { isSame, MOST_TOLD, type Rival, viewersOf } from "./rival.ts";

/** Objects by what they say something of, to find for each the others that some namespace sees beside it. */
export class RivalGroups<R extends Rival> {
  #members = new Map<string, R[]>();
  #groups = new Map<string, NamedItems<R>>();
  readonly #byDefault: readonly string[];

  /** `byDefault` is where those are exported to that do not say it. */
  constructor(byDefault: readonly string[]) {
    this.#byDefault = byDefault;
  }

  /** Those that are added first are told first. */
  add(what: string, object: R): void {
    addToList(this.#members, what, object);
  }

  /** The others that say something of the same; of many the first ones. `object` may be a newer version of one of them. */
  rivalsOf(what: string, object: R): readonly R[] {
    const members = this.#members.get(what) ?? [];
    if (members.every((other) => isSame(object, other))) return [];
    const { isAll, names } = viewersOf(object, this.#byDefault);
    if (!isAll && names.size === 0) return [];
    const seen = isAll ? [SOMEBODY] : [EVERYBODY, ...[...names].map(nameOf)];
    return this.#group(what, members).first(MOST_TOLD, new Set(seen), (other) => !isSame(object, other));
  }

  #group(what: string, members: readonly R[]): NamedItems<R> {
    const known = this.#groups.get(what);
    if (known !== undefined) return known;
    const group = new NamedItems<R>();
    for (const member of members) {
      const { isAll, names } = viewersOf(member, this.#byDefault);
      if (isAll) group.add(member, [EVERYBODY, SOMEBODY]);
      else group.add(member, names.size === 0 ? [] : [SOMEBODY, ...[...names].map(nameOf)]);
    }
    this.#groups.set(what, group);
    return group;
  }
}

/** What everybody sees, whoever that is, and what at least somebody sees. */
const EVERYBODY = "everybody";
const SOMEBODY = "somebody";

function nameOf(viewer: string): string {
  return `namespace ${viewer}`;
}

import { NameSet, type NameTable } from "./name-set.ts";
import { type ResourceSet, TYPE_URL, type TypeUrl } from "./resource-set.ts";
import { emptySet, selectNames } from "./update.ts";

const WILDCARD = "*";
const WILDCARD_ONLY = new NameSet(new Set([WILDCARD]));

/**
 * What one proxy wants of one type. Envoy's xDS protocol, "How the client specifies what resources to return":
 * names, or `*` for whatever the server has for it, or both; and the older form of `*`, which is to name nothing at
 * all, honoured for clusters and listeners until the first time that a stream names something.
 */
export class Subscription {
  readonly #typeUrl: TypeUrl;
  readonly #table: NameTable;
  #wildcard = false;
  #legacy: boolean;
  #names: NameSet;

  constructor(typeUrl: TypeUrl, table: NameTable) {
    this.#typeUrl = typeUrl;
    this.#table = table;
    this.#names = table.empty;
    this.#legacy = typeUrl === TYPE_URL.cluster || typeUrl === TYPE_URL.listener;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  /** The names asked for one by one, without `*`. */
  get names(): NameSet {
    return this.#names;
  }

  /** What the proxy is to have of `set`. */
  select(set: ResourceSet): ResourceSet {
    if (this.#wildcard) return set;
    return this.#names.size === 0 ? emptySet(this.#typeUrl) : selectNames(set, this.#names);
  }

  /** Those of `names` that the proxy wants. */
  wanted(names: NameSet): NameSet {
    return this.#wildcard ? names : this.#table.intersection(names, this.#names);
  }

  wants(name: string): boolean {
    return this.#wildcard || this.#names.has(name);
  }

  /** State of the world: each request lists everything. Answers what this request asks for and the last did not. */
  replace(requested: NameSet): { names: NameSet; wildcard: boolean } {
    if (this.#legacy && requested.size > 0) this.#legacy = false;
    const before = { wildcard: this.#wildcard, names: this.#names };
    this.#wildcard = this.#legacy || requested.has(WILDCARD);
    this.#names = this.#withoutWildcard(requested);
    const names = this.#names === before.names ? this.#table.empty : this.#table.difference(this.#names, before.names);
    return { names, wildcard: this.#wildcard && !before.wildcard };
  }

  /** Delta: the first request for a type that names nothing asks for everything, in the older form. */
  startLegacy(): boolean {
    if (!this.#legacy) return false;
    this.#wildcard = true;
    return true;
  }

  /** Delta. A name that is already subscribed counts as asked for again: the proxy has lost it. */
  add(requested: NameSet): { names: NameSet; wildcard: boolean } {
    const added = this.#withoutWildcard(requested);
    const wildcard = requested.has(WILDCARD) && !this.#wildcard;
    if (requested.has(WILDCARD)) this.#wildcard = true;
    this.#names = this.#table.sum(this.#names, added);
    return { names: added, wildcard };
  }

  /** Delta. Answers the names that the proxy forgot and yet still wants, through `*`: they are to be sent again. */
  remove(requested: NameSet): NameSet {
    if (requested.has(WILDCARD)) this.#wildcard = false;
    const removed = this.#withoutWildcard(requested);
    const forgotten = this.#wildcard ? this.#table.intersection(removed, this.#names) : this.#table.empty;
    this.#names = this.#table.difference(this.#names, removed);
    return forgotten;
  }

  #withoutWildcard(names: NameSet): NameSet {
    return names.has(WILDCARD) ? this.#table.difference(names, WILDCARD_ONLY) : names;
  }
}

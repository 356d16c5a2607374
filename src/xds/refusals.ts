import { type EncodedResource, TYPE_URL, type TypeUrl } from "./resource-set.ts";

/** A resource that a proxy refused, and of which it was sent no other version since. */
export interface Refusal {
  readonly typeUrl: TypeUrl;
  /** Of a secret without its bytes. */
  readonly refused: EncodedResource;
  /** The version that the proxy keeps; null where it had none. */
  readonly kept: EncodedResource | null;
  /** Whether the message says that it is this one; else it is one of those that came together. */
  readonly isNamed: boolean;
  /** In the proxy's own words. */
  readonly message: string;
}

/** Types whose refusals Envoy words as `Error adding/updating cluster(s) NAME: REASON, NAME: REASON`. */
const NAMED: readonly TypeUrl[] = [TYPE_URL.cluster, TYPE_URL.listener, TYPE_URL.secret];
const NO_BYTES = new Uint8Array(0);

/** What of one type a proxy refuses. A response is refused as a whole, though its other resources are used. */
export class Refusals {
  readonly #typeUrl: TypeUrl;
  readonly #byName = new Map<string, Refusal>();

  constructor(typeUrl: TypeUrl) {
    this.#typeUrl = typeUrl;
  }

  accepted(sent: readonly EncodedResource[]): void {
    if (this.#byName.size === 0) return;
    for (const { name } of sent) this.#byName.delete(name);
  }

  /** `had` is what the proxy had been sent before. Blames what the message names, else all that was new. */
  refused(sent: readonly EncodedResource[], had: ReadonlyMap<string, EncodedResource>, message: string): void {
    const named = NAMED.includes(this.#typeUrl) ? sent.filter(({ name }) => mentions(message, name)) : [];
    const changed = sent.filter(({ name, version }) => had.get(name)?.version !== version);
    for (const resource of named.length > 0 ? named : changed) {
      const before = had.get(resource.name);
      const refusal = this.#byName.get(resource.name);
      // What was refused before is not what it keeps.
      const kept = refusal !== undefined && refusal.refused.version === before?.version ? refusal.kept : before;
      this.#byName.set(resource.name, {
        typeUrl: this.#typeUrl,
        refused: this.#withoutKeys(resource),
        kept: kept === undefined || kept === null ? null : this.#withoutKeys(kept),
        isNamed: named.length > 0,
        message,
      });
    }
  }

  /** Those that still hold: of resources that the proxy was sent in this version last. */
  of(known: ReadonlyMap<string, EncodedResource>): readonly Refusal[] {
    return [...this.#byName.values()].filter(({ refused }) => known.get(refused.name)?.version === refused.version);
  }

  #withoutKeys(resource: EncodedResource): EncodedResource {
    return this.#typeUrl === TYPE_URL.secret ? { ...resource, bytes: NO_BYTES } : resource;
  }
}

/** Whether the text has the name as a whole, not as the beginning of a longer one. */
function mentions(text: string, name: string): boolean {
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + 1)) {
    if (!/[\w.-]/.test(text[at + name.length] ?? "")) return true;
    if (/[.:]\s/.test(text.slice(at + name.length, at + name.length + 2))) return true;
  }
  return false;
}

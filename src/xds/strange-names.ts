import type { NameSet } from "./name-set.ts";
import type { ProxyResources, TypeUrl } from "./resource-set.ts";
import type { TypeState } from "./type-state.ts";
import { absentFrom, emptySet } from "./update.ts";

/** What a set has for each name beside its letters. */
const NAME_BYTES = 100;

/**
 * What one stream has us keep of names that nothing has. Those that something has are few, and shared by all who ask for
 * them; of the others there are as many as a caller makes up.
 */
export class StrangeNames {
  readonly #ofType = new Map<TypeUrl, { readonly names: NameSet; readonly bytes: number }>();

  /** By how many bytes they have grown with the last request; what has come and gone in the mesh since does not count. */
  grownTo(types: readonly Pick<TypeState, "typeUrl" | "subscription">[], resources: ProxyResources): number {
    let grown = 0;
    for (const { typeUrl, subscription } of types) {
      const { names } = subscription;
      const before = this.#ofType.get(typeUrl);
      if (before?.names === names || (before === undefined && names.size === 0)) continue;
      const absent = absentFrom(resources.get(typeUrl) ?? emptySet(typeUrl), names);
      const bytes = absent.reduce((sum, { length }) => sum + length + NAME_BYTES, 0);
      this.#ofType.set(typeUrl, { names, bytes });
      grown += bytes - (before?.bytes ?? 0);
    }
    return grown;
  }
}

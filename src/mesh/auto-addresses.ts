/** Of 240.240.0.0/16, which nobody has, as Istio takes it; 0 and the last few stay free. */
const CAPACITY = 255 * 254;

/**
 * An address pair (IPv4, IPv6, joined by a comma) for each of `keys`. Where one goes follows from its own key, so that it
 * keeps its addresses when others come and go; of two keys that meet, the earlier in the list has the first choice.
 * Keys beyond the range's capacity get none.
 */
export function allocateAutoAddresses(keys: readonly string[]): ReadonlyMap<string, string> {
  const allocated = new Map<string, string>();
  const taken = new Set<number>();
  for (const key of keys) {
    if (allocated.has(key) || taken.size >= CAPACITY) continue;
    let slot = hash(key) % CAPACITY;
    while (taken.has(slot)) slot = (slot + 1) % CAPACITY;
    taken.add(slot);
    const [high, low] = [Math.floor(slot / 254), (slot % 254) + 1];
    allocated.set(key, `240.240.${high}.${low},2001:2::f0f0:${(high * 256 + low).toString(16)}`);
  }
  return allocated;
}

/** FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

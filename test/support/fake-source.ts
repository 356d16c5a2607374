import type { ConfigSource } from "../../src/xds/config-source.ts";
import type { ProxyResources } from "../../src/xds/resource-set.ts";

/** A source with the same resources for every proxy, until `set` gives it others. */
export function fakeSource(
  initial: ProxyResources,
): ConfigSource & { set(resources: ProxyResources): void; openHandles: number } {
  let resources = initial;
  const stale = new Set<() => void>();
  const fresh = new Set<() => void>();
  const source = {
    openHandles: 0,
    open(_proxy: unknown, _identity: unknown, onChange: () => void) {
      source.openHandles++;
      stale.add(onChange);
      return {
        current() {
          stale.delete(onChange);
          fresh.add(onChange);
          return resources;
        },
        close() {
          source.openHandles--;
          stale.delete(onChange);
          fresh.delete(onChange);
        },
      };
    },
    set(changed: ProxyResources) {
      resources = changed;
      const notified = [...fresh];
      fresh.clear();
      for (const onChange of notified) onChange();
    },
  };
  return source;
}

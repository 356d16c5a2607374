import { lazily } from "../platform/lazily.ts";
import { patternsOver } from "./hostname.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import type { Service } from "./kubernetes/core.ts";

/** Services by their full host names, and what covers a name without looking at every wildcard there is. */
export interface HostIndex {
  /** Whose host this is, or who has the first wildcard for it. */
  service(hostname: string): Service | ServiceEntry | undefined;
  /** Whether some service has this host, or one that it covers. */
  covers(pattern: string): boolean;
  /** How many ports the services have whose host this is, or whom it covers. */
  portsUnder(hostname: string): number;
}

export function indexHosts(services: ReadonlyMap<string, Service | ServiceEntry>): HostIndex {
  const wildcards = new Map([...services.keys()].filter((host) => host.startsWith("*")).map((host, at) => [host, at]));
  const ports = lazily(() => countPorts(services));
  return {
    service(hostname) {
      const own = services.get(hostname);
      if (own !== undefined || wildcards.size === 0) return own;
      const covering = patternsOver(hostname).flatMap((pattern) => {
        const at = wildcards.get(pattern);
        return at === undefined ? [] : { pattern, at };
      });
      const [first] = covering.sort((a, b) => a.at - b.at);
      return first === undefined ? undefined : services.get(first.pattern);
    },
    covers: (pattern) => ports().has(pattern),
    portsUnder: (hostname) => ports().get(hostname) ?? 0,
  };
}

/** By each host that services have, and each wildcard that covers some. */
function countPorts(services: ReadonlyMap<string, Service | ServiceEntry>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const [host, { spec }] of services) {
    for (const pattern of new Set([host, ...patternsOver(host)])) {
      counts.set(pattern, (counts.get(pattern) ?? 0) + (spec.ports ?? []).length);
    }
  }
  return counts;
}

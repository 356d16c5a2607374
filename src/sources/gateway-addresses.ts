import { Resolver } from "node:dns/promises";
import { isDeepStrictEqual } from "node:util";
import { gatewayHosts } from "../mesh/network-gateways.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import { createListeners } from "./listeners.ts";
import type { Source } from "./source.ts";

export interface GatewayAddressesDeps {
  readonly source: Source;
  /** Rejects where a name has no address; `ttlMs` is for how long the answer holds. */
  lookUp(host: string): Promise<{ readonly addresses: readonly string[]; readonly ttlMs: number }>;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

/** Each is asked for again and again; a mesh has a few gateways a network. */
const MAX_HOSTS = 100;
const SHORTEST_TTL_MS = 5000;
const LONGEST_TTL_MS = 300_000;
const RETRY_MS = 10_000;
/** A start does not wait longer than this for names. */
const START_MS = 5000;

/**
 * Adds to what a source has the addresses of the load balancers by which networks are entered and that are known by host
 * names alone, as on AWS: proxies take addresses. While a name cannot be looked up, what it last led to stays.
 */
export function createGatewayAddresses({ source, lookUp, clock, log }: GatewayAddressesDeps): Source {
  const listeners = createListeners(log);
  /** By host name: the cancellation of its next look-up. */
  const followed = new Map<string, () => void>();
  const known = new Map<string, readonly string[]>();
  let current = source.current();
  let isStarted = false;
  let unsubscribe = () => {};

  const look = async (host: string): Promise<void> => {
    let nextMs = RETRY_MS;
    try {
      const { addresses, ttlMs } = await lookUp(host);
      if (!followed.has(host)) return;
      nextMs = Math.min(Math.max(ttlMs, SHORTEST_TTL_MS), LONGEST_TTL_MS);
      const sorted = addresses.toSorted();
      if (!isDeepStrictEqual(known.get(host), sorted)) {
        known.set(host, sorted);
        log.info({ host, addresses: sorted }, "a gateway's host name leads to these addresses");
        if (isStarted) publish();
      }
    } catch (error) {
      if (!followed.has(host)) return;
      log.warn({ host, reason: messageOf(error) }, "a gateway's host name cannot be looked up");
    }
    followed.set(
      host,
      clock.after(nextMs, () => void look(host)),
    );
  };

  /** Looks up names that are new, and forgets those that nothing has any more. */
  const follow = (set: ObjectSet): Promise<unknown> => {
    const wanted = new Set(hostsOf(set).slice(0, MAX_HOSTS));
    for (const [host, cancel] of followed) {
      if (wanted.has(host)) continue;
      cancel();
      followed.delete(host);
      known.delete(host);
    }
    const fresh = [...wanted].filter((host) => !followed.has(host));
    for (const host of fresh) followed.set(host, () => {});
    return Promise.all(fresh.map(look));
  };

  const publish = (): void => {
    const set = source.current();
    current = known.size === 0 ? set : Object.freeze({ ...set, addresses: new Map(known) });
    listeners.tell(current);
  };

  return {
    async start() {
      await source.start();
      const waited = new Promise<void>((resolve) => {
        const cancel = clock.after(START_MS, resolve);
        void follow(source.current()).then(() => {
          cancel();
          resolve();
        });
      });
      await waited;
      publish();
      isStarted = true;
      unsubscribe = source.onChange((set) => {
        void follow(set);
        publish();
      });
    },
    current: () => current,
    onChange: listeners.add,
    async stop() {
      unsubscribe();
      for (const cancel of followed.values()) cancel();
      followed.clear();
      await source.stop();
    },
  };
}

/** Asked at every change, so that it makes nothing but the answer. */
function hostsOf({ objects, remotes = [] }: ObjectSet): string[] {
  const hosts = new Set<string>();
  for (const each of [objects, ...remotes.map((remote) => remote.objects)]) {
    for (const object of each) {
      if (object.kind === "Service") for (const host of gatewayHosts(object)) hosts.add(host);
    }
  }
  return [...hosts].sort();
}

/** Asks the DNS of this machine, or of `servers`. */
export function createLookUp(servers?: readonly string[]): GatewayAddressesDeps["lookUp"] {
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  return async (host) => {
    const answers = await Promise.allSettled([
      resolver.resolve4(host, { ttl: true }),
      resolver.resolve6(host, { ttl: true }),
    ]);
    const records = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (records.length === 0) throw new TrysailError("not-found", `${host} has no address`);
    return {
      addresses: records.map(({ address }) => address),
      ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1000,
    };
  };
}

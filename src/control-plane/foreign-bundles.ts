import { assertNotSuperseded } from "../ca/bundle/assert-not-superseded.ts";
import { parseSpiffeBundle, type SpiffeBundle } from "../ca/bundle/parse-spiffe-bundle.ts";
import { retryDelayMs } from "../ca/serving/keep-renewed.ts";
import type { ForeignAuthority } from "../mesh/foreign-authority.ts";
import { compareText } from "../mesh/object.ts";
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { OutboundFetch } from "../platform/outbound-fetch.ts";
import type { Random } from "../platform/random.ts";

/** The roots of the trust domains that the mesh is federated with. */
export interface ForeignBundles {
  /** Follows these from now on, and no other. */
  follow(authorities: readonly ForeignAuthority[]): void;
  /** PEM of each domain's roots, sorted by domain; without those whose roots are not known yet. */
  current(): ReadonlyMap<string, string>;
  stop(): void;
}

export interface ForeignBundlesDeps {
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  /** Roots have come, or others than before. */
  onChange(): void;
}

interface Endpoint {
  /** The last good one. */
  bundle: SpiffeBundle | null;
  stop(): void;
}

/** Without a hint five minutes, as SPIFFE recommends. Whatever it says, nobody is asked all the time or never. */
const REFRESH_MS = { usual: 300_000, shortest: 10_000, longest: 3_600_000 };

/** A bundle that cannot be had changes nothing: the last good one stays, and its endpoint is asked again. */
export function createForeignBundles(deps: ForeignBundlesDeps): ForeignBundles {
  const endpoints = new Map<string, Endpoint>();
  let followed: readonly ForeignAuthority[] = [];

  function startEndpoint(url: string): Endpoint {
    let stopped = false;
    let cancel = (): void => {};
    let failures = 0;
    const ask = async (): Promise<void> => {
      let waitMs: number;
      try {
        const bundle = parseSpiffeBundle(await deps.fetch(url), deps.clock.now());
        if (stopped) return;
        assertNotSuperseded(bundle, endpoint.bundle, deps.clock.now());
        failures = 0;
        const { rootsPem, refreshHintMs } = bundle;
        waitMs = Math.min(Math.max(refreshHintMs ?? REFRESH_MS.usual, REFRESH_MS.shortest), REFRESH_MS.longest);
        const isNew = rootsPem !== endpoint.bundle?.rootsPem;
        endpoint.bundle = bundle;
        if (isNew) deps.onChange();
      } catch (error) {
        if (stopped) return;
        waitMs = retryDelayMs(failures++, deps.random.fraction());
        deps.log.warn({ url, err: error, retryMs: waitMs }, "a trust bundle cannot be had; the one before stays");
      }
      cancel = deps.clock.after(waitMs, () => void ask());
    };
    const endpoint: Endpoint = {
      bundle: null,
      stop() {
        stopped = true;
        cancel();
      },
    };
    void ask();
    return endpoint;
  }

  function rootsOf({ roots }: ForeignAuthority): string | null {
    return "pem" in roots ? roots.pem : (endpoints.get(roots.bundleUrl)?.bundle?.rootsPem ?? null);
  }

  return {
    follow(authorities) {
      if (authorities === followed) return;
      followed = authorities;
      const urls = new Set(authorities.flatMap(({ roots }) => ("bundleUrl" in roots ? [roots.bundleUrl] : [])));
      for (const [url, endpoint] of endpoints) {
        if (urls.has(url)) continue;
        endpoint.stop();
        endpoints.delete(url);
      }
      for (const url of urls) if (!endpoints.has(url)) endpoints.set(url, startEndpoint(url));
    },
    current() {
      const bundles = new Map<string, string[]>();
      for (const authority of followed) {
        const rootsPem = rootsOf(authority);
        if (rootsPem === null) continue;
        for (const domain of authority.trustDomains) bundles.set(domain, [...(bundles.get(domain) ?? []), rootsPem]);
      }
      const sorted = [...bundles].sort(([a], [b]) => compareText(a, b));
      return new Map(sorted.map(([domain, roots]) => [domain, roots.join("\n")]));
    },
    stop() {
      for (const endpoint of endpoints.values()) endpoint.stop();
      endpoints.clear();
    },
  };
}

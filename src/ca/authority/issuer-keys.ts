import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import Type from "typebox";
import { Compile } from "typebox/compile";
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../../platform/errors.ts";
import { Refusal } from "../refusal.ts";

export interface IssuerKeysDeps {
  /** The issuer's key set (RFC 7517) as JSON. */
  fetchKeys(): Promise<string>;
  readonly clock: Clock;
}

const FRESH_MS = 10 * 60_000;
/** How long keys that cannot be renewed go on to count: an issuer that is down for an hour ends no workload. */
const STALE_MS = 60 * 60_000;
/** Between attempts to renew keys that still count. */
const RENEWAL_PAUSE_MS = 30_000;
/** A token with a key that is not known is a reason to ask the issuer, and anyone can make such tokens. */
const FETCH_EVERY_MS = 2000;
/** Tokens with unknown keys that may wait for the next fetch. */
const MOST_WAITING = 1000;

const KeySet = Compile(Type.Object({ keys: Type.Array(Type.Object({ kty: Type.String() }), { maxItems: 100 }) }));

/**
 * An issuer's public keys, fetched when they are first needed and followed through their rotation. A token with a key
 * that is not known waits for the next fetch, which begins within two seconds: so whoever makes tokens up neither
 * floods the issuer nor locks out one that has a new key. Rejects with a Refusal: `issuer-unavailable` where the keys
 * cannot be had, `overloaded` where too many wait.
 */
export function createIssuerKeys(deps: IssuerKeysDeps): JWTVerifyGetKey {
  const { clock } = deps;
  let known: { readonly keySet: JWTVerifyGetKey; readonly ids: ReadonlySet<unknown>; readonly at: number } | undefined;
  let fetching: Promise<void> | undefined;
  /** A fetch that has not begun yet. */
  let planned: Promise<void> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let waiting = 0;

  const ageMs = (): number => clock.now() - (known?.at ?? Number.NEGATIVE_INFINITY);
  const isUnknown = (kid: string | undefined): boolean =>
    known === undefined || ageMs() >= STALE_MS || (kid !== undefined && !known.ids.has(kid));

  async function load(): Promise<void> {
    askedAt = clock.now();
    const keys = parseKeySet(await deps.fetchKeys());
    const ids = new Set(keys.keys.map(({ kid }) => kid));
    known = { keySet: createLocalJWKSet(keys), ids, at: clock.now() };
  }

  function refresh(): Promise<void> {
    fetching ??= load().finally(() => {
      fetching = undefined;
    });
    return fetching;
  }

  function nextFetch(): Promise<void> {
    const pauseMs = askedAt + FETCH_EVERY_MS - clock.now();
    if (pauseMs <= 0) return refresh();
    planned ??= new Promise<void>((resolve) => clock.after(pauseMs, resolve)).then(() => {
      planned = undefined;
      return refresh();
    });
    return planned;
  }

  async function lookFor(kid: string | undefined): Promise<void> {
    if (waiting >= MOST_WAITING)
      throw new Refusal("overloaded", "too many tokens with unknown keys: ask again in a second");
    waiting++;
    try {
      // One that is on its way may have been answered before the key was there.
      if (fetching !== undefined) await fetching.catch(() => {});
      if (isUnknown(kid)) await nextFetch();
    } catch (cause) {
      throw unavailable(cause);
    } finally {
      waiting--;
    }
  }

  async function renew(): Promise<void> {
    if (fetching === undefined && clock.now() - askedAt < RENEWAL_PAUSE_MS) return;
    // The ones that are known go on to count.
    await refresh().catch(() => {});
  }

  return async (header, token) => {
    if (isUnknown(header.kid)) await lookFor(header.kid);
    else if (ageMs() >= FRESH_MS) await renew();
    if (known === undefined) throw unavailable(new Error("no keys"));
    return known.keySet(header, token);
  };
}

function parseKeySet(text: string): JSONWebKeySet {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`not a key set: ${messageOf(error)}`);
  }
  if (!KeySet.Check(value)) throw new Error("not a key set");
  return value;
}

function unavailable(cause: unknown): Refusal {
  return new Refusal("issuer-unavailable", "the keys of the token's issuer cannot be had at this time", { cause });
}

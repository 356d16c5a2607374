import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import Type from "typebox";
import { Compile } from "typebox/compile";
import type { Clock } from "../../platform/clock.ts";
import { messageOf } from "../../platform/errors.ts";
import { Refusal } from "../refusal.ts";

export interface IssuerKeysDeps {
  /** The issuer's key set (RFC 7517) as JSON. */
  fetchKeys(): Promise<string>;
  readonly clock: Pick<Clock, "now">;
}

const FRESH_MS = 10 * 60_000;
/** How long keys that cannot be renewed go on to count: an issuer that is down for an hour ends no workload. */
const STALE_MS = 60 * 60_000;
/** A token with a key that is not known is a reason to ask the issuer, and anyone can make such tokens. */
const COOL_DOWN_MS = 30_000;

const KeySet = Compile(Type.Object({ keys: Type.Array(Type.Object({ kty: Type.String() }), { maxItems: 100 }) }));

/**
 * An issuer's public keys, fetched when they are first needed and followed through their rotation. Rejects with
 * a Refusal (`issuer-unavailable`) where they cannot be had.
 */
export function createIssuerKeys(deps: IssuerKeysDeps): JWTVerifyGetKey {
  let known: { readonly keySet: JWTVerifyGetKey; readonly ids: ReadonlySet<unknown>; readonly at: number } | undefined;
  let fetching: Promise<void> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;

  async function refresh(): Promise<void> {
    askedAt = deps.clock.now();
    const keys = parseKeySet(await deps.fetchKeys());
    const ids = new Set(keys.keys.map(({ kid }) => kid));
    known = { keySet: createLocalJWKSet(keys), ids, at: deps.clock.now() };
  }

  return async (header, token) => {
    const now = deps.clock.now();
    const age = now - (known?.at ?? Number.NEGATIVE_INFINITY);
    const isUnknown = header.kid !== undefined && known?.ids.has(header.kid) !== true;
    if ((age >= FRESH_MS || isUnknown) && (fetching !== undefined || now - askedAt >= COOL_DOWN_MS)) {
      fetching ??= refresh().finally(() => {
        fetching = undefined;
      });
      try {
        await fetching;
      } catch (cause) {
        if (age >= STALE_MS) throw unavailable(cause);
      }
    } else if (age >= STALE_MS) {
      throw unavailable(new Error("asked a moment ago"));
    }
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

import type { KeyObject } from "node:crypto";
import { errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from "jose";
import type { Clock } from "../../platform/clock.ts";
import { TrysailError } from "../../platform/errors.ts";
import { Refusal } from "../refusal.ts";
import { createTokenCache } from "./token-cache.ts";

export interface TokenVerifierDeps<T> {
  readonly key: KeyObject | JWTVerifyGetKey;
  /** The list is what refuses `none`, and an HMAC keyed with a public key. */
  readonly algorithms: readonly string[];
  readonly issuer: string;
  /** The token must be for one of these. */
  readonly audiences: readonly string[];
  readonly clock: Pick<Clock, "now">;
  /** What is wanted of the claims of a token that holds; throws a Refusal. */
  read(payload: JWTPayload): T;
}

/** Answers what a token that holds says; rejects with a Refusal. */
export type VerifyToken<T> = (token: string) => Promise<T>;

/** How far the clocks of issuer and verifier may stand apart. */
const CLOCK_SKEW_SECONDS = 30;
/** A signature that held is not verified again for this time, nor behind the token's end. A key taken away counts as long. */
const REMEMBERED_MS = 60_000;
const REMEMBERED_TOKENS = 20_000;
const BAD_SIGNATURE = "token not signed by this mesh's issuer";

/** Verifies signature, issuer, audience and times (RFC 7519, 4.1). */
export function createTokenVerifier<T>(deps: TokenVerifierDeps<T>): VerifyToken<T> {
  const verified = createTokenCache<T>({ clock: deps.clock, maxEntries: REMEMBERED_TOKENS });
  return async (token) => {
    const known = verified.get(token);
    if (known !== undefined) return known;
    const payload = await verifiedPayload(deps, token);
    const said = deps.read(payload);
    verified.set(token, said, Math.min(deps.clock.now() + REMEMBERED_MS, (payload.exp ?? 0) * 1000));
    return said;
  };
}

async function verifiedPayload(deps: Omit<TokenVerifierDeps<unknown>, "read">, token: string): Promise<JWTPayload> {
  const { key } = deps;
  const options: JWTVerifyOptions = {
    algorithms: [...deps.algorithms],
    issuer: deps.issuer,
    audience: [...deps.audiences],
    requiredClaims: ["iss", "aud", "sub", "exp", "iat"],
    currentDate: new Date(deps.clock.now()),
    clockTolerance: CLOCK_SKEW_SECONDS,
  };
  try {
    const { payload } =
      typeof key === "function" ? await jwtVerify(token, key, options) : await jwtVerify(token, key, options);
    return payload;
  } catch (error) {
    throw refusalOf(error);
  }
}

/** What the bearer may read: enough to put it right, and only what its own signed token says. */
function refusalOf(error: unknown): Error {
  // The issuer's keys could not be had: that says nothing of the token.
  if (error instanceof TrysailError) return error;
  const cause = { cause: safeCause(error) };
  if (error instanceof errors.JWTExpired) {
    return new Refusal("token-expired", `token expired at ${isoTime(error.payload.exp)}`, cause);
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "aud") return new Refusal("token-wrong-audience", "token has another audience", cause);
    if (error.claim === "iss") return new Refusal("token-bad-signature", BAD_SIGNATURE, cause);
    if (error.claim === "nbf") {
      return new Refusal("token-not-yet-valid", `token is not valid before ${isoTime(error.payload.nbf)}`, cause);
    }
    return new Refusal("token-lacks-claim", "token lacks a claim", cause);
  }
  for (const kind of [
    errors.JWSSignatureVerificationFailed,
    errors.JOSEAlgNotAllowed,
    errors.JWKSNoMatchingKey,
    errors.JWKSMultipleMatchingKeys,
  ]) {
    if (error instanceof kind) return new Refusal("token-bad-signature", BAD_SIGNATURE, cause);
  }
  return new Refusal("token-malformed", "token is malformed", cause);
}

/** The library's errors carry the whole payload, which a log need not hold. */
function safeCause(error: unknown): Error {
  return error instanceof Error ? new Error(`${error.name}: ${error.message}`) : new Error("token was not verified");
}

function isoTime(seconds: number | undefined): string {
  const date = new Date((seconds ?? Number.NaN) * 1000);
  return Number.isNaN(date.getTime()) ? "no known time" : date.toISOString();
}

import type { KeyObject } from "node:crypto";
import { errors, type JWTPayload, jwtVerify } from "jose";
import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import type { WorkloadIdentity } from "./identity.ts";
import { TOKEN_ISSUER } from "./token-issuer.ts";
import { parseWorkloadClaims } from "./workload-claims.ts";

/** Answers who the bearer of a token is proven to be. Throws `unauthenticated`; the cause is for the log alone. */
export type Authenticate = (token: string | undefined) => Promise<WorkloadIdentity>;

export interface TokenAuthenticatorDeps {
  readonly issuer: { readonly publicKey: KeyObject };
  readonly audience: string;
  readonly trustDomain: string;
  readonly clock: Pick<Clock, "now">;
}

/** How far the clocks of issuer and verifier may stand apart. */
const CLOCK_SKEW_SECONDS = 30;
/** Kubernetes' tokens are about 1 KB; what is far longer is not looked at. */
const LONGEST_TOKEN = 16 * 1024;
const NOT_OUR_SIGNATURE = "token not signed by this mesh's issuer";

/** Authenticates the tokens of this mesh's own issuer. */
export function createTokenAuthenticator(deps: TokenAuthenticatorDeps): Authenticate {
  return async (token) => {
    if (token === undefined || token === "") throw new TrysailError("unauthenticated", "no token");
    if (token.length > LONGEST_TOKEN) throw new TrysailError("unauthenticated", "token is too long");
    const payload = await verifiedPayload(deps, token);
    try {
      return { trustDomain: deps.trustDomain, ...parseWorkloadClaims(payload) };
    } catch (cause) {
      throw new TrysailError("unauthenticated", "token does not name a workload", { cause });
    }
  };
}

/** The token of an `Authorization: Bearer …` header (RFC 6750, 2.1); undefined where there is none. */
export function bearerToken(authorizationHeader: string | undefined): string | undefined {
  return /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(authorizationHeader ?? "")?.[1];
}

async function verifiedPayload(deps: TokenAuthenticatorDeps, token: string): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, deps.issuer.publicKey, {
      // The list is what refuses `none`, and an HMAC keyed with the public key.
      algorithms: ["ES256"],
      issuer: TOKEN_ISSUER,
      audience: deps.audience,
      requiredClaims: ["iss", "aud", "sub", "exp", "iat"],
      currentDate: new Date(deps.clock.now()),
      clockTolerance: CLOCK_SKEW_SECONDS,
    });
    return payload;
  } catch (cause) {
    throw new TrysailError("unauthenticated", safeMessage(cause), { cause: safeCause(cause) });
  }
}

/** What the bearer may read: enough to put it right, and only what its own signed token says. */
function safeMessage(error: unknown): string {
  if (error instanceof errors.JWTExpired) return `token expired at ${isoTime(error.payload.exp)}`;
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "aud") return "token has another audience";
    if (error.claim === "iss") return NOT_OUR_SIGNATURE;
    if (error.claim === "nbf") return `token is not valid before ${isoTime(error.payload.nbf)}`;
    return "token lacks a claim";
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return NOT_OUR_SIGNATURE;
  if (error instanceof errors.JOSEAlgNotAllowed) return NOT_OUR_SIGNATURE;
  return "token is malformed";
}

/** The library's errors carry the whole payload, which a log need not hold. */
function safeCause(error: unknown): Error {
  return error instanceof Error ? new Error(`${error.name}: ${error.message}`) : new Error("token was not verified");
}

function isoTime(seconds: number | undefined): string {
  const date = new Date((seconds ?? Number.NaN) * 1000);
  return Number.isNaN(date.getTime()) ? "no known time" : date.toISOString();
}

import type { JsonWebKey, KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import type { Clock } from "../../platform/clock.ts";
import type { SigningKey } from "../authority/signing-key.ts";
import { spiffeId, type WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";

/** Makes JWT-SVIDs: tokens by which a workload proves its SPIFFE id where TLS does not reach. */
export interface JwtSvidIssuer {
  /** The public key for the trust bundle. */
  readonly keys: readonly { readonly keyId: string; readonly jwk: JsonWebKey }[];
  issue(request: JwtSvidRequest): Promise<JwtSvid>;
}

export interface JwtSvidRequest {
  /** From an authenticator. */
  readonly identity: WorkloadIdentity;
  /** Who is to accept it; one at least. */
  readonly audiences: readonly string[];
  /** Undefined means five minutes; more than an hour is cut to it. */
  readonly ttlMs: number | undefined;
}

export interface JwtSvid {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

const DEFAULT_TTL_MS = 5 * 60_000;
/** A token that is stolen cannot be called back, so it is to be short. */
const MAX_TTL_MS = 60 * 60_000;

/** https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md */
export function createJwtSvidIssuer(deps: {
  readonly key: SigningKey;
  readonly clock: Pick<Clock, "now">;
}): JwtSvidIssuer {
  const { privateKey, publicKey, keyId } = deps.key;
  return {
    keys: [{ keyId, jwk: publicJwk(publicKey) }],
    async issue({ identity, audiences, ttlMs = DEFAULT_TTL_MS }) {
      if (audiences.length === 0 || audiences.includes(""))
        throw new Refusal("bad-request", "a JWT-SVID needs an audience");
      const nowSeconds = Math.floor(deps.clock.now() / 1000);
      const untilSeconds = nowSeconds + Math.ceil(Math.min(Math.max(ttlMs, 1000), MAX_TTL_MS) / 1000);
      const token = await new SignJWT()
        .setProtectedHeader({ alg: "ES256", kid: keyId, typ: "JWT" })
        .setSubject(spiffeId(identity))
        .setAudience([...audiences])
        .setIssuedAt(nowSeconds)
        .setExpirationTime(untilSeconds)
        .sign(privateKey);
      return { token, notAfter: untilSeconds * 1000 };
    },
  };
}

function publicJwk(key: KeyObject): JsonWebKey {
  return key.export({ format: "jwk" });
}

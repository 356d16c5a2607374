import { createHash, type KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import type { Clock } from "../../platform/clock.ts";
import { TrysailError } from "../../platform/errors.ts";
import { type Random, systemRandom } from "../../platform/random.ts";
import type { StateDir } from "../../platform/state-dir.ts";
import { loadSigningKey } from "../authority/signing-key.ts";
import { isUid, KUBERNETES_CLAIM, subjectOf } from "../caller/workload-claims.ts";
import { isDnsLabel, isDnsSubdomain } from "../x509/dns-names.ts";

/** `iss` of the tokens that stand in for a cluster's on one machine. */
export const TOKEN_ISSUER = "https://trysail.local";
/** `aud` of the tokens with which Istio's proxies, and so ours, come to the control plane. */
export const TOKEN_AUDIENCE = "istio-ca";

/** Makes workload tokens on one machine, with exactly the claims of Kubernetes' bound service-account tokens. */
export interface TokenIssuer {
  /** Verifies the tokens. */
  readonly publicKey: KeyObject;
  /** Whether this load made the key; false where it was there already. */
  readonly isNew: boolean;
  issue(request: TokenRequest): Promise<string>;
}

export interface TokenRequest {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod?: { readonly name: string; readonly uid: string };
  /** `istio-ca` unless said otherwise. */
  readonly audience?: string;
  readonly ttlMs: number;
}

export interface TokenIssuerDeps {
  readonly state: StateDir;
  readonly clock: Pick<Clock, "now">;
  readonly random?: Pick<Random, "bytes">;
}

/**
 * The issuer's key is read from the state folder, and made on the first start. A damaged key is never replaced:
 * `failed-precondition` names the file.
 */
export async function loadTokenIssuer(deps: TokenIssuerDeps): Promise<TokenIssuer> {
  const { privateKey, publicKey, keyId, isNew } = await loadSigningKey({
    state: deps.state,
    folder: "issuer",
    what: "the token issuer's key",
    consequence: "ends every token issued so far",
  });
  const random = deps.random ?? systemRandom;

  return {
    publicKey,
    isNew,
    async issue(request) {
      assertTokenRequest(request);
      const { namespace, serviceAccount, pod } = request;
      const nowSeconds = Math.floor(deps.clock.now() / 1000);
      const bound = {
        namespace,
        serviceaccount: { name: serviceAccount, uid: accountUid(namespace, serviceAccount) },
        ...(pod === undefined ? {} : { pod: { name: pod.name, uid: pod.uid } }),
      };
      return new SignJWT({ [KUBERNETES_CLAIM]: bound })
        .setProtectedHeader({ alg: "ES256", kid: keyId })
        .setIssuer(TOKEN_ISSUER)
        .setSubject(subjectOf(request))
        .setAudience([request.audience ?? TOKEN_AUDIENCE])
        .setIssuedAt(nowSeconds)
        .setNotBefore(nowSeconds)
        .setExpirationTime(nowSeconds + Math.floor(request.ttlMs / 1000))
        .setJti(Buffer.from(random.bytes(16)).toString("hex"))
        .sign(privateKey);
    },
  };
}

function assertTokenRequest({ namespace, serviceAccount, pod, audience, ttlMs }: TokenRequest): void {
  const refuse = (message: string): TrysailError => new TrysailError("invalid-argument", message);
  if (!isDnsLabel(namespace)) throw refuse(`not a namespace: ${namespace}`);
  if (!isDnsSubdomain(serviceAccount)) throw refuse(`not a service account's name: ${serviceAccount}`);
  if (pod !== undefined && !isDnsSubdomain(pod.name)) throw refuse(`not a pod's name: ${pod.name}`);
  if (pod !== undefined && !isUid(pod.uid)) throw refuse(`not a pod's uid: ${pod.uid}`);
  if (audience === "") throw refuse("a token needs an audience");
  if (!Number.isFinite(ttlMs) || ttlMs < 1000) throw refuse("a token must live for a second at least");
}

/** There is no API server to hand out uids, so an account's follows from its name and stays over restarts. */
function accountUid(namespace: string, serviceAccount: string): string {
  const hex = createHash("sha256").update(`${namespace}/${serviceAccount}`).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

import type { KeyObject } from "node:crypto";
import type { Clock } from "../../platform/clock.ts";
import { TOKEN_ISSUER } from "../jwt/token-issuer.ts";
import type { Authenticator } from "./authenticate.ts";
import { createTokenVerifier } from "./verify-token.ts";
import { workloadOf } from "./workload-claims.ts";

export interface MeshTokensDeps {
  readonly issuer: { readonly publicKey: KeyObject };
  /** The token must be for one of these. */
  readonly audiences: readonly string[];
  readonly trustDomain: string;
  readonly clock: Pick<Clock, "now">;
}

/** Authenticates the tokens of this mesh's own issuer, which stands in for a cluster's on one machine. */
export function createMeshTokens(deps: MeshTokensDeps): Authenticator {
  const verify = createTokenVerifier({
    key: deps.issuer.publicKey,
    algorithms: ["ES256"],
    issuer: TOKEN_ISSUER,
    audiences: deps.audiences,
    clock: deps.clock,
    read: (payload) => ({ trustDomain: deps.trustDomain, ...workloadOf(payload) }),
  });
  return {
    name: "mesh-token",
    authenticate({ token }) {
      if (token?.issuer !== TOKEN_ISSUER) return null;
      return verify(token.text);
    },
  };
}

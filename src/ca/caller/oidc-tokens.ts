import Type from "typebox";
import { Compile } from "typebox/compile";
import type { Clock } from "../../platform/clock.ts";
import type { OutboundFetch } from "../../platform/outbound-fetch.ts";
import { createIssuerKeys } from "../authority/issuer-keys.ts";
import { Refusal } from "../refusal.ts";
import type { Authenticator } from "./authenticate.ts";
import { createTokenVerifier } from "./verify-token.ts";
import { parseSubject } from "./workload-claims.ts";

export interface OidcTokensDeps {
  /** `iss` of its tokens, below which its discovery document is. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly trustDomain: string;
  readonly fetch: OutboundFetch;
  readonly clock: Clock;
}

const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
const Discovery = Compile(Type.Object({ issuer: Type.String(), jwks_uri: Type.String({ maxLength: 2048 }) }));

/**
 * Authenticates the tokens of an OpenID Connect issuer. The subject must be `system:serviceaccount:NAMESPACE:ACCOUNT`,
 * as Istio has it: an issuer that is trusted here is trusted to name any workload of the mesh.
 */
export function createOidcTokens(deps: OidcTokensDeps): Authenticator {
  const key = createIssuerKeys({ clock: deps.clock, fetchKeys: async () => deps.fetch(await discoverKeys(deps)) });
  const verify = createTokenVerifier({
    ...deps,
    key,
    algorithms: ALGORITHMS,
    read({ sub }) {
      const account = parseSubject(sub);
      if (account === undefined) {
        const cause = new Error(`sub ${JSON.stringify(sub)?.slice(0, 300)}`);
        throw new Refusal("token-no-workload", "token does not name a workload", { cause });
      }
      return { trustDomain: deps.trustDomain, ...account };
    },
  });
  return {
    name: `oidc=${deps.issuer}`,
    authenticate({ token }) {
      if (token?.issuer !== deps.issuer) return null;
      return verify(token.text);
    },
  };
}

/** OpenID Connect Discovery 1.0, 4: the document must name the very issuer that it was asked from. */
async function discoverKeys({ issuer, fetch }: OidcTokensDeps): Promise<string> {
  const document: unknown = JSON.parse(await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`));
  if (!Discovery.Check(document)) throw new Error("not a discovery document");
  if (document.issuer !== issuer) throw new Error(`the discovery document is of ${document.issuer.slice(0, 300)}`);
  return document.jwks_uri;
}

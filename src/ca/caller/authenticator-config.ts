import { TrysailError } from "../../platform/errors.ts";

/** One of the proofs that a mesh takes, as an operator names it. */
export type AuthenticatorConfig =
  | { readonly kind: "mesh-token" | "client-certificate" | "token-review" | "kubernetes" }
  | { readonly kind: "oidc"; readonly issuer: string };

const PLAIN = ["mesh-token", "client-certificate", "token-review", "kubernetes"] as const;
const OIDC = "oidc=";

/** Reads `mesh-token`, `client-certificate`, `token-review`, `kubernetes` or `oidc=URL`; throws `invalid-argument`. */
export function parseAuthenticatorConfig(text: string): AuthenticatorConfig {
  const kind = PLAIN.find((plain) => plain === text);
  if (kind !== undefined) return { kind };
  if (text.startsWith(OIDC)) {
    const issuer = text.slice(OIDC.length);
    const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
    if (url?.protocol === "https:" && url.search === "" && url.hash === "") return { kind: "oidc", issuer };
    throw new TrysailError("invalid-argument", `an OIDC issuer is an https URL, and this is none: ${issuer}`);
  }
  throw new TrysailError("invalid-argument", `${text} is no authenticator: name ${PLAIN.join(", ")} or oidc=URL`);
}

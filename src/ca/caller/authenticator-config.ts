import { TrysailError } from "../../platform/errors.ts";

/** One of the proofs that a mesh takes, as an operator names it. */
export type AuthenticatorConfig =
  | { readonly kind: "mesh-token" | "client-certificate" | "token-review" | "kubernetes" }
  /** `caFile` holds the roots of its HTTPS server as PEM; null where those are the system's. */
  | { readonly kind: "oidc"; readonly issuer: string; readonly caFile: string | null };

const PLAIN = ["mesh-token", "client-certificate", "token-review", "kubernetes"] as const;
const OIDC = "oidc=";
const CA_FILE = ",ca=";

/** Reads `mesh-token`, `client-certificate`, `token-review`, `kubernetes`, `oidc=URL` or `oidc=URL,ca=FILE`; throws `invalid-argument`. */
export function parseAuthenticatorConfig(text: string): AuthenticatorConfig {
  const kind = PLAIN.find((plain) => plain === text);
  if (kind !== undefined) return { kind };
  if (text.startsWith(OIDC)) {
    const [issuer = "", ...files] = text.slice(OIDC.length).split(CA_FILE);
    const caFile = files.length === 0 ? null : files.join(CA_FILE);
    if (caFile === "") throw new TrysailError("invalid-argument", `the file with the roots of ${issuer} has no name`);
    const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
    if (url?.protocol === "https:" && url.search === "" && url.hash === "") return { kind: "oidc", issuer, caFile };
    throw new TrysailError("invalid-argument", `an OIDC issuer is an https URL, and this is none: ${issuer}`);
  }
  throw new TrysailError(
    "invalid-argument",
    `${text} is no authenticator: name ${PLAIN.join(", ")} or oidc=URL[,ca=FILE]`,
  );
}

import type { JsonWebKey } from "node:crypto";
import { certificatesOf } from "../x509/pem-certificates.ts";

export interface SpiffeBundleInput {
  /** Every root that peers must accept. */
  readonly rootsPem: string;
  readonly jwtKeys: readonly { readonly keyId: string; readonly jwk: JsonWebKey }[];
  /** When a reader should look again, in seconds. */
  readonly refreshHintSeconds: number;
}

/** A trust bundle in SPIFFE's form of a JWK set (SPIFFE Trust Domain and Bundle, 4), as JSON. */
export function buildSpiffeBundle({ rootsPem, jwtKeys, refreshHintSeconds }: SpiffeBundleInput): string {
  const x509 = certificatesOf(rootsPem).map((root) => ({
    ...root.publicKey.export({ format: "jwk" }),
    use: "x509-svid",
    x5c: [root.raw.toString("base64")],
  }));
  const jwt = jwtKeys.map(({ keyId, jwk }) => ({ ...jwk, use: "jwt-svid", kid: keyId }));
  return `${JSON.stringify({ keys: [...x509, ...jwt], spiffe_refresh_hint: refreshHintSeconds }, null, 2)}\n`;
}

import { type ErrorCode, TrysailError } from "../platform/errors.ts";

/** Every reason for which the certificate authority refuses a caller, with the code that the caller is told. */
const CODES = {
  "no-credentials": "unauthenticated",
  "token-too-long": "unauthenticated",
  "token-malformed": "unauthenticated",
  "token-untrusted-issuer": "unauthenticated",
  "token-bad-signature": "unauthenticated",
  "token-wrong-audience": "unauthenticated",
  "token-expired": "unauthenticated",
  "token-not-yet-valid": "unauthenticated",
  "token-lacks-claim": "unauthenticated",
  "token-no-workload": "unauthenticated",
  "token-rejected": "unauthenticated",
  "token-unbound": "unauthenticated",
  "requester-no-workload": "unauthenticated",
  "client-certificate": "unauthenticated",
  impersonation: "unauthenticated",
  "identity-revoked": "permission-denied",
  "issuer-unavailable": "unavailable",
  "signer-denied": "permission-denied",
  "signer-failed": "unavailable",
  "signer-unavailable": "unavailable",
  "csr-too-large": "invalid-argument",
  "csr-malformed": "invalid-argument",
  "csr-weak-key": "invalid-argument",
  "csr-unsupported-key": "invalid-argument",
  "csr-bad-signature": "invalid-argument",
  "csr-other-names": "invalid-argument",
  "csr-lacks-name": "invalid-argument",
  "csr-other-usages": "invalid-argument",
  "csr-too-old": "invalid-argument",
  "bad-request": "invalid-argument",
  "unsupported-media-type": "invalid-argument",
  overloaded: "resource-exhausted",
} as const satisfies Record<string, ErrorCode>;

export type RefusalReason = keyof typeof CODES;

/** A refusal under a stable reason, which log and metric share. `message` is for the caller, `cause` for the log alone. */
export class Refusal extends TrysailError {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string, options: { cause?: unknown } = {}) {
    super(CODES[reason], message, options);
    this.reason = reason;
  }
}

/** The reason to count anything thrown under. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof Refusal) return thrown.reason;
  return thrown instanceof TrysailError ? thrown.code : "internal";
}

/**
 * What the log says of a refusal: its words and those of what caused it. Only a fault of our own has a stack: callers without
 * credentials decide how often the others are written.
 */
export function loggedCause(error: unknown): { readonly err: unknown } | { readonly cause: string } {
  if (reasonOf(error) === "internal") return { err: error };
  const texts: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) texts.push(at.message);
  return { cause: texts.join(": ") };
}

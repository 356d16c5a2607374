import type { WorkloadIdentity } from "./identity.ts";
import type { IssueRequest } from "./issue.ts";
import type { Signatures } from "./signatures.ts";
import type { IssuedCertificate } from "./signer.ts";
import { assertNamesOnly, parseCsr, provePossession } from "./x509/csr.ts";

/** A certificate signing request, and for whom it is answered. */
export interface CsrRequest {
  /** PEM, or DER. Nothing of it is trusted yet. */
  readonly csr: string | Uint8Array;
  /** From an authenticator. */
  readonly identity: WorkloadIdentity;
  /** How long the certificate should live; cut to what the mesh allows. */
  readonly ttlMs: number;
}

export interface AnswerCsrDeps {
  /** Proof of possession. */
  readonly signatures: Signatures;
  /** Clamps the lifetime, signs, and verifies what was signed: `issue`. */
  issue(request: IssueRequest): Promise<IssuedCertificate>;
}

/** What a caller whom we know gets for its request, in the order that is the security argument. Rejects with a Refusal. */
export async function answerCsr(deps: AnswerCsrDeps, { csr, identity, ttlMs }: CsrRequest): Promise<IssuedCertificate> {
  const parsed = parseCsr(csr);
  await provePossession(parsed, deps.signatures);
  assertNamesOnly(parsed, identity);
  return deps.issue({ identity, publicKey: parsed.publicKey.der, ttlMs, csr: () => parsed.der });
}

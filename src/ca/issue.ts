import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import type { WorkloadIdentity } from "./identity.ts";
import { Refusal } from "./refusal.ts";
import type { Signatures } from "./signatures.ts";
import type { IssuedCertificate, Signer } from "./signer.ts";
import { verifyIssued, verifyIssuedServing } from "./verify-issued.ts";

export interface IssueRequest {
  /** From an authenticator, never from what the caller says of itself. */
  readonly identity: WorkloadIdentity;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** How long the certificate should live; cut to what the mesh allows. */
  readonly ttlMs: number;
  /** DER of a request (PKCS #10) that the key has signed: what a signer elsewhere wants to see. */
  csr?(): Uint8Array;
}

/** A certificate of the control plane's own. */
export interface ServingRequest extends Omit<IssueRequest, "identity" | "csr"> {
  /** DNS names and IP addresses. */
  readonly hosts: readonly string[];
  csr(): Uint8Array;
}

export interface IssueDeps {
  readonly signer: Signer;
  readonly clock: Pick<Clock, "now">;
  readonly maxTtlMs: number;
  /** Where the work is done; in this process unless given. */
  readonly signatures?: Signatures;
}

/** The certificate for a proven identity. The order of the steps is the security argument. */
export async function issue(deps: IssueDeps, request: IssueRequest): Promise<IssuedCertificate> {
  const now = deps.clock.now();
  const authority = deps.signer.certificate;
  const notAfter = expiry(now, request.ttlMs, deps.maxTtlMs, deps.signer.notAfter);
  const leaf = { publicKey: request.publicKey, identity: request.identity, notAfter };
  const issued = await deps.signer.sign(leaf, deps.signatures);
  return verifyIssued(issued, leaf, { authority, now, signatures: deps.signatures });
}

/** The same for the control plane's own ports. */
export async function issueServing(deps: IssueDeps, request: ServingRequest): Promise<IssuedCertificate> {
  const now = deps.clock.now();
  const authority = deps.signer.certificate;
  const notAfter = expiry(now, request.ttlMs, deps.maxTtlMs, deps.signer.notAfter);
  const leaf = { publicKey: request.publicKey, hosts: request.hosts, notAfter };
  return verifyIssuedServing(await deps.signer.signServing(leaf), leaf, { authority, now });
}

/** When a certificate asked for now must end: never later than its authority does. Milliseconds since the epoch. */
export function expiry(now: number, ttlMs: number, maxTtlMs: number, authorityNotAfter: number): number {
  // Not a number is no life either; an infinite one is cut like any other.
  if (!(ttlMs >= 1000)) {
    throw new TrysailError("invalid-argument", "a certificate must live for a second at least");
  }
  const notAfter = Math.min(now + ttlMs, now + maxTtlMs, authorityNotAfter);
  if (notAfter < now + 1000) {
    const ended = new Date(authorityNotAfter).toISOString();
    throw new Refusal("signer-unavailable", `the certificate authority expired at ${ended}`);
  }
  return notAfter;
}

import type { Logger } from "../platform/log.ts";
import type { CsrRequest } from "./answer-csr.ts";
import type { Authenticate, Credentials } from "./caller/authenticate.ts";
import type { Impersonate } from "./caller/impersonate.ts";
import { shareOwner, spiffeId, type WorkloadIdentity } from "./identity.ts";
import { loggedCause, reasonOf } from "./refusal.ts";
import type { IssuedCertificate } from "./signer.ts";
import type { SigningQueue } from "./signing-queue.ts";

/** A caller's request for a certificate, as it came in over any protocol. Nothing of it is trusted yet. */
export interface CertificateRequest {
  readonly credentials: Credentials;
  /** PEM, or DER. */
  readonly csr: string | Uint8Array;
  /** Undefined, zero and below mean the usual life; more than is allowed is cut to it. */
  readonly ttlMs: number | undefined;
  /** The SPIFFE id that a node agent asks for in place of its own. */
  readonly impersonated?: string | undefined;
  /** For the audit log: where it came from, and what else it asked for. */
  readonly audit: {
    readonly protocol: "grpc" | "https" | "kubernetes";
    readonly peer: string;
    readonly certSigner?: string | undefined;
  };
}

export interface Certified extends IssuedCertificate {
  readonly identity: WorkloadIdentity;
}

export interface CertifyDeps {
  readonly authenticate: Authenticate;
  readonly impersonate: Impersonate;
  readonly queue: SigningQueue;
  /** `answerCsr`, wherever that is done. */
  answer(request: CsrRequest): Promise<IssuedCertificate>;
  readonly defaultTtlMs: number;
  readonly log: Logger;
  readonly metrics?: CertifyMetrics;
}

export interface CertifyMetrics {
  issued(durationMs: number): void;
  refused(reason: string): void;
}

/**
 * A certificate for whoever asks with proof. The order of the steps is the security argument: nothing of the request
 * is looked at before the caller is known, and names come from the caller's credentials alone. Rejects with a
 * TrysailError whose message is fit for the caller; the cause goes to the log.
 */
export async function certify(deps: CertifyDeps, request: CertificateRequest): Promise<Certified> {
  const startedMs = performance.now();
  let identity: WorkloadIdentity | undefined;
  try {
    const caller = await deps.authenticate(request.credentials);
    const wanted = request.impersonated;
    const named = wanted === undefined ? caller : deps.impersonate(caller, wanted);
    identity = named;
    const ttlMs = lifeOf(request, deps);
    const issued = await deps.queue.run(shareOwner(caller), () =>
      deps.answer({ csr: request.csr, identity: named, ttlMs }),
    );
    deps.metrics?.issued(performance.now() - startedMs);
    deps.log.info(
      {
        ...request.audit,
        id: spiffeId(named),
        pod: named.pod?.name,
        ...(wanted !== undefined && { caller: spiffeId(caller) }),
        serialNumber: issued.serialNumber,
        notAfter: new Date(issued.notAfter),
      },
      "certificate issued",
    );
    return { ...issued, identity: named };
  } catch (error) {
    const reason = reasonOf(error);
    deps.metrics?.refused(reason);
    const id = identity === undefined ? undefined : spiffeId(identity);
    deps.log[reason === "internal" ? "error" : "warn"](
      { ...request.audit, id, reason, ...loggedCause(error) },
      "certificate refused",
    );
    throw error;
  }
}

function lifeOf({ ttlMs = 0 }: CertificateRequest, { defaultTtlMs }: CertifyDeps): number {
  return ttlMs > 0 ? ttlMs : defaultTtlMs;
}

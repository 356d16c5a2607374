import type { Clock } from "../platform/clock.ts";
import type { CsrRequest } from "./answer-csr.ts";
import type { Authority, AuthorityChange } from "./authority/authority.ts";
import { expiry, type IssueRequest, issue, issueServing, type ServingRequest } from "./issue.ts";
import type { IssuedCertificate } from "./signer.ts";
import type { IssuingThreads } from "./threads/issuing-threads.ts";

/** Whoever gives the mesh its certificates: an authority of its own, or a signer elsewhere. */
export interface Issuer {
  /** For a proven identity, and a key that is ours or was proven to be its own. */
  issue(request: IssueRequest): Promise<IssuedCertificate>;
  /** For a proven identity by its request: `answerCsr`. */
  answer(request: CsrRequest): Promise<IssuedCertificate>;
  /** For the control plane itself. */
  issueServing(request: ServingRequest): Promise<IssuedCertificate>;
  /** Every root that peers must accept, as one PEM text. */
  trustBundlePem(): string;
  /** Returns the unsubscription. */
  onChange(listener: (change: AuthorityChange) => void): () => void;
}

/** Issues by whatever authority is the active one at that moment. */
export function createOwnIssuer(deps: {
  readonly authority: Pick<Authority, "signer" | "trustBundlePem" | "onChange">;
  readonly clock: Pick<Clock, "now">;
  readonly maxTtlMs: number;
  /** Where requests are answered. */
  readonly threads: Pick<IssuingThreads, "run">;
}): Issuer {
  const { authority, threads, ...limits } = deps;
  return {
    issue: (request) => issue({ ...limits, signer: authority.signer() }, request),
    async answer(request) {
      const signer = authority.signer();
      const { maxTtlMs } = limits;
      // A thread knows no more of the authority than what signs, so what is to be written down before is so here.
      const now = limits.clock.now();
      const ttlMs = expiry(now, request.ttlMs, maxTtlMs, signer.notAfter) - now;
      const permission = signer.beforeSigning(ttlMs);
      if (permission !== undefined) await permission;
      return threads.run({ ...request, ttlMs, now, maxTtlMs }, signer.material);
    },
    issueServing: (request) => issueServing({ ...limits, signer: authority.signer() }, request),
    trustBundlePem: authority.trustBundlePem,
    onChange: authority.onChange,
  };
}

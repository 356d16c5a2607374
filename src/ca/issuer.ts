import type { Clock } from "../platform/clock.ts";
import type { Authority, AuthorityChange } from "./authority/authority.ts";
import { type IssueRequest, issue, issueServing, type ServingRequest } from "./issue.ts";
import { localSignatures, type Signatures } from "./signatures/signatures.ts";
import type { IssuedCertificate } from "./signer.ts";

/** Whoever gives the mesh its certificates: an authority of its own, or a signer elsewhere. */
export interface Issuer {
  /** For a proven identity; `signatures` says where the work is done, as far as it is done here. */
  issue(request: IssueRequest, signatures?: Signatures): Promise<IssuedCertificate>;
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
}): Issuer {
  const { authority, ...limits } = deps;
  return {
    issue: (request, signatures = localSignatures) =>
      issue({ ...limits, signatures, signer: authority.signer() }, request),
    issueServing: (request) => issueServing({ ...limits, signer: authority.signer() }, request),
    trustBundlePem: authority.trustBundlePem,
    onChange: authority.onChange,
  };
}

import type { Clock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { pemText } from "../platform/pem.ts";
import { answerCsr } from "./answer-csr.ts";
import type { FollowedRoots } from "./bundle/follow-roots.ts";
import { spiffeId } from "./identity.ts";
import type { IssueRequest } from "./issue.ts";
import type { Issuer } from "./issuer.ts";
import { Refusal } from "./refusal.ts";
import { localSignatures } from "./signatures.ts";
import { type ExternalAnswer, verifyExternal } from "./verify-external.ts";
import { parseCsr } from "./x509/csr.ts";

export interface ExternalIssuerDeps {
  /** Has a request (PKCS #10, PEM) signed, and answers the chain in PEM. Rejects with a Refusal. */
  sign(request: { readonly csrPem: string; readonly purpose: string; readonly ttlMs: number }): Promise<string>;
  readonly roots: Pick<FollowedRoots, "pem" | "onChange">;
  readonly clock: Pick<Clock, "now">;
  readonly maxTtlMs: number;
}

/**
 * Has every certificate signed elsewhere: the mesh says who is who, and the signer who is believed. It takes the names
 * from the request, so a request must name the caller's own SPIFFE id, which `certify` has seen to be nothing else.
 */
export function createExternalIssuer({ sign, roots, clock, maxTtlMs }: ExternalIssuerDeps): Issuer {
  const ask = async (
    request: Pick<IssueRequest, "publicKey" | "ttlMs"> & { readonly csr: Uint8Array; readonly purpose: string },
    names: ExternalAnswer["asked"]["names"],
  ) => {
    const { publicKey, csr, purpose } = request;
    const ttlMs = Math.min(request.ttlMs, maxTtlMs);
    const chainPem = await sign({ csrPem: pemText("CERTIFICATE REQUEST", csr), purpose, ttlMs });
    const asked = { publicKey, names };
    return verifyExternal({ chainPem, rootsPem: roots.pem(), asked, now: clock.now(), longestLifeMs: maxTtlMs });
  };

  const issue: Issuer["issue"] = async ({ identity, csr, ...request }) => {
    const uri = spiffeId(identity);
    if (csr === undefined) throw new TrysailError("internal", "there is no request to have signed elsewhere");
    const der = csr();
    const { names, hasPlainSubject } = parseCsr(der);
    // A signer may copy the subject, and elsewhere an organization can be a group, such as Kubernetes' system:masters.
    if (!hasPlainSubject) {
      throw new Refusal(
        "csr-other-names",
        "this mesh's signer takes names from the request: its subject may hold a common name and nothing else",
      );
    }
    if (!names.some((name) => name.kind === "uri" && name.value === uri)) {
      throw new Refusal(
        "csr-lacks-name",
        `this mesh's signer takes names from the request: it must ask for URI ${uri}`,
      );
    }
    return ask({ ...request, csr: der, purpose: uri }, { uri });
  };

  return {
    issue,
    answer: (request) => answerCsr({ signatures: localSignatures, issue }, request),
    issueServing: ({ hosts, csr, ...request }) =>
      ask({ ...request, csr: csr(), purpose: "the control plane" }, { hosts }),
    trustBundlePem: roots.pem,
    onChange: (listener) => roots.onChange(() => listener({ signer: false, trustBundle: true })),
  };
}

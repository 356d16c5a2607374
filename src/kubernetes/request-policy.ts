import { isUid, parseSubject } from "../ca/caller/workload-claims.ts";
import type { WorkloadIdentity } from "../ca/identity.ts";
import { Refusal } from "../ca/refusal.ts";
import { localSignatures } from "../ca/signatures.ts";
import { assertNamesOnly, parseCsr, provePossession } from "../ca/x509/csr.ts";
import { isDnsSubdomain } from "../ca/x509/dns-names.ts";
import type { CertificateSigningRequest } from "./certificate-request.ts";

/** What a workload's certificate is for, so what has to be asked for. */
export const WORKLOAD_USAGES = ["digital signature", "server auth", "client auth"] as const;
/** Clients ask for it out of habit; no certificate here has it. */
const TOLERATED_USAGE = "key encipherment";
/** Who asked is proven for the moment of asking, and pods come and go. */
const OLDEST_MS = 3_600_000;

const POD_NAME = "authentication.kubernetes.io/pod-name";
const POD_UID = "authentication.kubernetes.io/pod-uid";

/**
 * The workload that made a request, by what the API server says of it: a service account, with the pod where its token
 * was bound to one. Throws a Refusal where nobody in the mesh made it, or where it wants a certificate for other uses.
 */
export function requesterOf({ spec }: CertificateSigningRequest, trustDomain: string): WorkloadIdentity {
  const account = parseSubject(spec.username);
  if (account === undefined) {
    throw new Refusal("requester-no-workload", "only a service account has an identity in this mesh");
  }
  const usages = new Set((spec.usages ?? []).filter((usage) => usage !== TOLERATED_USAGE));
  if (usages.size !== WORKLOAD_USAGES.length || !WORKLOAD_USAGES.every((usage) => usages.has(usage))) {
    throw new Refusal("csr-other-usages", `the usages must be ${WORKLOAD_USAGES.join(", ")}, and no others`);
  }
  const [name = "", uid = ""] = [spec.extra?.[POD_NAME]?.[0], spec.extra?.[POD_UID]?.[0]];
  const pod = isDnsSubdomain(name) && isUid(uid) ? { pod: { name, uid } } : {};
  return { trustDomain, ...account, ...pod };
}

/** Rejects with a Refusal unless a service account asks, with proof of its key, for its own identity and nothing else. */
export async function assertApprovable(
  request: CertificateSigningRequest,
  { trustDomain, now }: { readonly trustDomain: string; readonly now: number },
): Promise<void> {
  const identity = requesterOf(request, trustDomain);
  if (now - Date.parse(request.metadata.creationTimestamp ?? "") > OLDEST_MS) {
    throw new Refusal("csr-too-old", "the request is more than an hour old: make another one");
  }
  const csr = parseCsr(Buffer.from(request.spec.request, "base64").toString("latin1"));
  await provePossession(csr, localSignatures);
  assertNamesOnly(csr, identity);
}

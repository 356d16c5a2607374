import { isTrustDomain } from "../platform/trust-domain.ts";
import { isDnsLabel, isDnsSubdomain } from "./x509/dns-names.ts";

/** Who a caller is proven to be: a Kubernetes service account, and the pod where the proof was bound to one. */
export interface WorkloadIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** From a token bound to a pod (`kubernetes.io/pod`); absent where the proof names none. */
  readonly pod?: { readonly name: string; readonly uid: string };
}

type AccountIdentity = Pick<WorkloadIdentity, "trustDomain" | "namespace" | "serviceAccount">;

/** `TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`, as policies name it. */
export function workloadPrincipal({ trustDomain, namespace, serviceAccount }: AccountIdentity): string {
  return `${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`, Istio's form of a SPIFFE id. */
export function spiffeId(identity: AccountIdentity): string {
  return `spiffe://${workloadPrincipal(identity)}`;
}

/** Whose share of what is bounded something is. Pods of one account are apart where their credentials say which is which. */
export function shareOwner(identity: WorkloadIdentity): string {
  return `${spiffeId(identity)} ${identity.pod?.uid ?? ""}`;
}

const WORKLOAD_PATH = /^\/ns\/([^/]+)\/sa\/([^/]+)$/;

/** Reads what `spiffeId` writes, and nothing that merely resembles it; undefined for anything else. */
export function parseSpiffeId(uri: string): WorkloadIdentity | undefined {
  if (!uri.startsWith("spiffe://")) return undefined;
  const slash = uri.indexOf("/", "spiffe://".length);
  const trustDomain = uri.slice("spiffe://".length, Math.max(slash, 0));
  const [, namespace = "", serviceAccount = ""] = WORKLOAD_PATH.exec(uri.slice(slash)) ?? [];
  if (!isTrustDomain(trustDomain) || !isDnsLabel(namespace) || !isDnsSubdomain(serviceAccount)) return undefined;
  return { trustDomain, namespace, serviceAccount };
}

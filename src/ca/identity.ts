/** Who a caller is proven to be: a Kubernetes service account, and the pod where the proof was bound to one. */
export interface WorkloadIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** From a token bound to a pod (`kubernetes.io/pod`); absent where the proof names none. */
  readonly pod?: { readonly name: string; readonly uid: string };
}

/** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`, Istio's form of a SPIFFE id. */
export function spiffeId(identity: Pick<WorkloadIdentity, "trustDomain" | "namespace" | "serviceAccount">): string {
  return `spiffe://${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

import { Refusal } from "../refusal.ts";
import { isDnsLabel, isDnsSubdomain } from "../x509/dns-names.ts";

/** What a workload token says of its bearer, in the claims of a Kubernetes bound service-account token. */
export interface WorkloadClaims {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod?: { readonly name: string; readonly uid: string };
}

/** The claim under which Kubernetes names the objects that a token is bound to. */
export const KUBERNETES_CLAIM = "kubernetes.io";

const UID = /^[0-9A-Za-z-]{1,64}$/;

export function subjectOf(claims: Pick<WorkloadClaims, "namespace" | "serviceAccount">): string {
  return `system:serviceaccount:${claims.namespace}:${claims.serviceAccount}`;
}

/**
 * Reads the claims of a token whose signature holds. The names become part of a SPIFFE id, so only what Kubernetes
 * itself accepts as names passes, and `sub` must say the same as the bound objects. Throws an Error saying what
 * is wrong, for the log.
 */
function parseWorkloadClaims(payload: Readonly<Record<string, unknown>>): WorkloadClaims {
  const bound = recordOf(payload[KUBERNETES_CLAIM], KUBERNETES_CLAIM);
  const namespace = textOf(bound.namespace, "namespace", isDnsLabel);
  const account = recordOf(bound.serviceaccount, "serviceaccount");
  const serviceAccount = textOf(account.name, "serviceaccount.name", isDnsSubdomain);
  const claims = { namespace, serviceAccount };
  if (payload.sub !== subjectOf(claims)) {
    throw new Error(`sub ${JSON.stringify(payload.sub)} does not name ${namespace}/${serviceAccount}`);
  }
  if (bound.pod === undefined) return claims;
  const pod = recordOf(bound.pod, "pod");
  const name = textOf(pod.name, "pod.name", isDnsSubdomain);
  const uid = textOf(pod.uid, "pod.uid", isUid);
  return { ...claims, pod: { name, uid } };
}

export function isUid(text: string): boolean {
  return UID.test(text);
}

/** As `parseWorkloadClaims`, for a caller to be told of: throws a Refusal that keeps what is wrong to the log. */
export function workloadOf(payload: Readonly<Record<string, unknown>>): WorkloadClaims {
  try {
    return parseWorkloadClaims(payload);
  } catch (cause) {
    throw new Refusal("token-no-workload", "token does not name a workload", { cause });
  }
}

/** The account that a subject names, as `subjectOf` writes it; undefined for any other. */
export function parseSubject(subject: unknown): Pick<WorkloadClaims, "namespace" | "serviceAccount"> | undefined {
  if (typeof subject !== "string") return undefined;
  const [system, kind, namespace = "", serviceAccount = "", ...more] = subject.split(":");
  if (system !== "system" || kind !== "serviceaccount" || more.length > 0) return undefined;
  return isDnsLabel(namespace) && isDnsSubdomain(serviceAccount) ? { namespace, serviceAccount } : undefined;
}

function recordOf(value: unknown, claim: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`claim ${claim} is not an object`);
  }
  return Object.fromEntries(Object.entries(value));
}

function textOf(value: unknown, claim: string, isValid: (text: string) => boolean): string {
  if (typeof value !== "string" || !isValid(value)) {
    throw new Error(`claim ${claim} is not a valid name: ${JSON.stringify(value)?.slice(0, 300)}`);
  }
  return value;
}

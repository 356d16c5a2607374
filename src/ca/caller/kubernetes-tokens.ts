import type { JWTVerifyGetKey } from "jose";
import type { Clock } from "../../platform/clock.ts";
import type { WorkloadIdentity } from "../identity.ts";
import { Refusal } from "../refusal.ts";
import type { Authenticator } from "./authenticate.ts";
import { createTokenVerifier } from "./verify-token.ts";
import { KUBERNETES_CLAIM, workloadOf } from "./workload-claims.ts";

/** The cluster's objects that tokens are bound to, as an informer knows them now. */
export interface BoundObjects {
  /** The uid of a service account that exists. */
  serviceAccountUid(namespace: string, name: string): string | undefined;
  /** A pod that exists. */
  pod(namespace: string, name: string): BoundPod | undefined;
}

export interface BoundPod {
  readonly uid: string;
  readonly serviceAccount: string;
  /** Undefined until it is scheduled. */
  readonly node: string | undefined;
}

export interface KubernetesTokensDeps {
  /** `--service-account-issuer` of the cluster's API server. */
  readonly issuer: string;
  /** The API server's keys (`/openid/v1/jwks`). */
  readonly keys: JWTVerifyGetKey;
  readonly audiences: readonly string[];
  readonly trustDomain: string;
  readonly objects: BoundObjects;
  readonly clock: Pick<Clock, "now">;
}

/** What API servers sign with. */
const ALGORITHMS = ["RS256", "ES256", "ES384", "ES512"];

/**
 * Authenticates a cluster's service-account tokens without a call to its API server: by its keys, and by whether what
 * the token is bound to still exists, which is what ends a token early. A token bound to no pod is refused, since it
 * would outlive every pod.
 */
export function createKubernetesTokens(deps: KubernetesTokensDeps): Authenticator {
  const verify = createTokenVerifier({
    ...deps,
    key: deps.keys,
    algorithms: ALGORITHMS,
    read: (payload) => ({
      identity: { trustDomain: deps.trustDomain, ...workloadOf(payload) },
      accountUid: accountUidOf(payload[KUBERNETES_CLAIM]),
    }),
  });
  return {
    name: "kubernetes",
    authenticate({ token }) {
      if (token?.issuer !== deps.issuer) return null;
      return verify(token.text).then(({ identity, accountUid }) => {
        // Asked each time, for what a token is bound to may be gone by now.
        assertBound(deps.objects, identity, accountUid);
        return identity;
      });
    },
  };
}

function assertBound(objects: BoundObjects, identity: WorkloadIdentity, accountUid: unknown): void {
  const { namespace, serviceAccount, pod } = identity;
  if (pod === undefined) throw new Refusal("token-unbound", "token is not bound to a pod");
  const found = objects.pod(namespace, pod.name);
  if (found === undefined || found.uid !== pod.uid || found.serviceAccount !== serviceAccount) {
    throw gone(`pod ${namespace}/${pod.name} (${pod.uid})`);
  }
  if (accountUid !== objects.serviceAccountUid(namespace, serviceAccount) || typeof accountUid !== "string") {
    throw gone(`service account ${namespace}/${serviceAccount} (${String(accountUid)})`);
  }
}

function gone(what: string): Refusal {
  const cause = new Error(`${what} is not there`);
  return new Refusal("token-unbound", "token is bound to a pod or service account that is gone", { cause });
}

function accountUidOf(bound: unknown): unknown {
  if (typeof bound !== "object" || bound === null || !("serviceaccount" in bound)) return undefined;
  const account = bound.serviceaccount;
  return typeof account === "object" && account !== null && "uid" in account ? account.uid : undefined;
}

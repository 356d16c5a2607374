import { webhookConfigurationNames } from "./webhook-configurations.ts";

/** A rule of a role: https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/cluster-role-v1/ */
export interface AccessRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** In the whole cluster, and in the control plane's own namespace alone. */
export interface RequiredAccess {
  readonly cluster: readonly AccessRule[];
  readonly own: readonly AccessRule[];
}

const NETWORKING = [
  ...["destinationrules", "proxyconfigs", "serviceentries", "sidecars"],
  ...["virtualservices", "workloadentries", "workloadgroups"],
];
const SECURITY = ["authorizationpolicies", "peerauthentications"];
const OWN_KINDS = ["ratelimits"];

const REGISTRATION = ["admissionregistration.k8s.io"];
const LEASES = { apiGroups: ["coordination.k8s.io"], resources: ["leases"] } as const;

/**
 * What Kubernetes must allow a control plane of this revision. The chart's templates and docs/kubernetes.md say the
 * same, each rule with who needs it; tests compare them.
 */
export function requiredAccess(revision: string): RequiredAccess {
  const names = webhookConfigurationNames(revision);
  return {
    cluster: [
      { apiGroups: [""], resources: ["namespaces", "nodes", "pods", "services"], verbs: ["list", "watch"] },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
      { apiGroups: [""], resources: ["configmaps"], resourceNames: ["istio"], verbs: ["list", "watch"] },
      { apiGroups: ["networking.istio.io"], resources: NETWORKING, verbs: ["list", "watch"] },
      { apiGroups: ["security.istio.io"], resources: SECURITY, verbs: ["list", "watch"] },
      { apiGroups: ["trysail.dev"], resources: OWN_KINDS, verbs: ["list", "watch"] },
      { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
      { apiGroups: REGISTRATION, resources: ["mutatingwebhookconfigurations"], verbs: ["list", "watch"] },
      {
        apiGroups: REGISTRATION,
        resources: ["mutatingwebhookconfigurations"],
        resourceNames: [names.mutating],
        verbs: ["patch"],
      },
      {
        apiGroups: REGISTRATION,
        resources: ["validatingwebhookconfigurations"],
        resourceNames: [names.validating],
        verbs: ["list", "watch", "patch"],
      },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
      {
        apiGroups: [""],
        resources: ["configmaps"],
        resourceNames: ["trysail-ca-root-cert"],
        verbs: ["list", "watch", "patch"],
      },
      { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
    ],
    own: [
      { apiGroups: [""], resources: ["secrets"], verbs: ["create"] },
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["trysail-ca-secret"], verbs: ["get", "update"] },
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["cacerts", "istio-ca-secret"], verbs: ["get"] },
      { ...LEASES, verbs: ["create"] },
      { ...LEASES, resourceNames: [leaderLeaseName(revision)], verbs: ["get", "update"] },
    ],
  };
}

/** What it must be allowed besides to write the status of objects, which the chart's `status.enabled` turns off. */
export const statusAccess: RequiredAccess = {
  cluster: [
    { apiGroups: ["networking.istio.io"], resources: statusOf(NETWORKING), verbs: ["patch"] },
    { apiGroups: ["security.istio.io"], resources: statusOf(SECURITY), verbs: ["patch"] },
    { apiGroups: ["trysail.dev"], resources: statusOf(OWN_KINDS), verbs: ["patch"] },
  ],
  own: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["list", "watch", "patch", "delete"] }],
};

function statusOf(resources: readonly string[]): readonly string[] {
  return resources.map((resource) => `${resource}/status`);
}

/** Replicas of one revision elect a leader among themselves. */
export function leaderLeaseName(revision: string): string {
  return revision === "default" ? "trysail-leader" : `trysail-leader-${revision}`;
}

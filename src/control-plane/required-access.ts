import type { CertificateRequestsConfig, ExternalSignerConfig } from "../kubernetes/signer-config.ts";
import { TRUST_BUNDLE_MAP } from "../platform/trust-bundle.ts";
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
  ...["destinationrules", "gateways", "proxyconfigs", "serviceentries", "sidecars"],
  ...["virtualservices", "workloadentries", "workloadgroups"],
];
const SECURITY = ["authorizationpolicies", "peerauthentications"];
const OWN_KINDS = ["ratelimits"];

const REGISTRATION = ["admissionregistration.k8s.io"];
const REQUESTS = { apiGroups: ["certificates.k8s.io"], resources: ["certificatesigningrequests"] } as const;
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
        resourceNames: [TRUST_BUNDLE_MAP],
        verbs: ["list", "watch", "patch"],
      },
      { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch"] },
    ],
    own: [
      { apiGroups: [""], resources: ["secrets"], verbs: ["create"] },
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["trysail-ca-secret"], verbs: ["get", "update"] },
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["cacerts", "istio-ca-secret"], verbs: ["get"] },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["list", "watch", "patch", "delete"] },
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
  own: [],
};

/** The names of the signers that a control plane is and asks, as far as its rights depend on them. */
export interface SignerRoles {
  readonly certificateRequests: CertificateRequestsConfig | null;
  readonly externalSigner: Pick<ExternalSignerConfig, "signerName" | "approves" | "roots"> | null;
}

/** What it must be allowed besides where it signs the cluster's CertificateSigningRequests, or has others sign. */
export function signerAccess({ certificateRequests, externalSigner }: SignerRoles): RequiredAccess {
  const roots = externalSigner?.roots;
  return {
    cluster: [
      ...(certificateRequests === null
        ? []
        : [
            { ...REQUESTS, verbs: ["list", "watch"] },
            ...writing("status", "sign", certificateRequests.signerName),
            ...(certificateRequests.approves ? writing("approval", "approve", certificateRequests.signerName) : []),
          ]),
      ...(externalSigner === null
        ? []
        : [
            { ...REQUESTS, verbs: ["create", "list", "watch", "delete"] },
            ...(externalSigner.approves ? writing("approval", "approve", externalSigner.signerName) : []),
          ]),
    ],
    own:
      roots === undefined || roots.kind === "file"
        ? []
        : [{ apiGroups: [""], resources: [roots.kind], resourceNames: [roots.name], verbs: ["get"] }],
  };
}

/** A subresource, and the right on the signer without which nobody writes it: so no other signer's can be touched. */
function writing(subresource: "status" | "approval", verb: "sign" | "approve", signerName: string): AccessRule[] {
  const [requests = ""] = REQUESTS.resources;
  return [
    { ...REQUESTS, resources: [`${requests}/${subresource}`], verbs: ["update"] },
    { apiGroups: REQUESTS.apiGroups, resources: ["signers"], resourceNames: [signerName], verbs: [verb] },
  ];
}

function statusOf(resources: readonly string[]): readonly string[] {
  return resources.map((resource) => `${resource}/status`);
}

/** Replicas of one revision elect a leader among themselves. */
export function leaderLeaseName(revision: string): string {
  return revision === "default" ? "trysail-leader" : `trysail-leader-${revision}`;
}

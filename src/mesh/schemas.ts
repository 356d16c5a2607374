import { type TObject, type TSchema, Type } from "typebox";
import { AuthorizationPolicySpec } from "./istio/authorization-policy.ts";
import { DestinationRuleSpec } from "./istio/destination-rule.ts";
import { GatewaySpec } from "./istio/gateway.ts";
import { PeerAuthenticationSpec } from "./istio/peer-authentication.ts";
import { ProxyConfigSpec } from "./istio/proxy-config.ts";
import { ServiceEntrySpec } from "./istio/service-entry.ts";
import { SidecarSpec } from "./istio/sidecar.ts";
import { VirtualServiceSpec } from "./istio/virtual-service.ts";
import { WorkloadEntrySpec } from "./istio/workload-entry.ts";
import { WorkloadGroupSpec } from "./istio/workload-group.ts";
import type { KnownObject } from "./kinds.ts";
import { EndpointSliceBody, PodSpec, ServiceSpec, ServiceStatus } from "./kubernetes/core.ts";
import { RateLimitSpec } from "./trysail/rate-limit.ts";

/** How documents of one kind are read. */
export interface KindSchema {
  readonly kind: KnownObject["kind"];
  /** Every `apiVersion` it may have; the first is the one to write. */
  readonly apiVersions: readonly [string, ...string[]];
  readonly namespaced: boolean;
  /** Istio's kinds, and those of our own, report fields that are not in the schema; Kubernetes' keep them. */
  readonly istio: boolean;
  /** The whole document, before defaults. */
  readonly schema: TObject;
  /**
   * Paths, without list indexes, where ignoring an unknown field could open what its author meant to close: there it
   * is an error instead of a warning.
   */
  readonly failClosedAt?: RegExp;
}

const closed = { additionalProperties: false } as const;
const StringMap = Type.Record(Type.String(), Type.String(), closed);

/** What Kubernetes asks of names: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ */
const Name = Type.String({
  pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
  maxLength: 253,
  description: "a name of lower-case letters, digits, - and .",
});
const NamespaceName = Type.String({
  pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
  maxLength: 63,
  description: "a name of lower-case letters, digits and -",
});

const Metadata = Type.Object({
  name: Name,
  namespace: Type.Optional(NamespaceName),
  labels: Type.Optional(StringMap),
  annotations: Type.Optional(StringMap),
  uid: Type.Optional(Type.String()),
  resourceVersion: Type.Optional(Type.String()),
  generation: Type.Optional(Type.Integer()),
  creationTimestamp: Type.Optional(Type.String()),
  deletionTimestamp: Type.Optional(Type.String()),
  ownerReferences: Type.Optional(
    Type.Array(
      Type.Object({
        apiVersion: Type.String(),
        kind: Type.String(),
        name: Type.String(),
        controller: Type.Optional(Type.Boolean()),
      }),
    ),
  ),
});

const head = { apiVersion: Type.String(), kind: Type.String(), metadata: Metadata };

function istioDocument(spec: TSchema): TObject {
  return Type.Object({ ...head, spec, status: Type.Optional(Type.Unknown()) }, closed);
}

const PodStatus = Type.Object({
  phase: Type.Optional(Type.String()),
  podIP: Type.Optional(Type.String()),
  podIPs: Type.Optional(Type.Array(Type.Object({ ip: Type.String() }))),
  conditions: Type.Optional(Type.Array(Type.Object({ type: Type.String(), status: Type.String() }))),
});

const PodTemplate = Type.Object({
  metadata: Type.Optional(Type.Object({ labels: Type.Optional(StringMap), annotations: Type.Optional(StringMap) })),
  spec: PodSpec,
});

const Count = Type.Optional(Type.Integer({ minimum: 0 }));

const WorkloadControllerDocument = Type.Object({
  ...head,
  spec: Type.Object({ replicas: Count, completions: Count, template: PodTemplate }),
});

const networking = ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"] as const;
const security = ["security.istio.io/v1", "security.istio.io/v1beta1"] as const;

/** Every kind that is read. */
export const kindSchemas: readonly KindSchema[] = [
  {
    kind: "VirtualService",
    apiVersions: networking,
    namespaced: true,
    istio: true,
    schema: istioDocument(VirtualServiceSpec),
    // A condition that is ignored would make its route match more requests.
    failClosedAt: /^spec\.(http|tls|tcp)\.match\b/,
  },
  {
    kind: "DestinationRule",
    apiVersions: networking,
    namespaced: true,
    istio: true,
    schema: istioDocument(DestinationRuleSpec),
    failClosedAt: /^spec\.workloadSelector\b|\.tls\b/,
  },
  {
    kind: "Gateway",
    apiVersions: networking,
    namespaced: true,
    istio: true,
    schema: istioDocument(GatewaySpec),
    // A setting that is ignored could let in whom it was to keep out.
    failClosedAt: /^spec\.selector\b|\.tls\b/,
  },
  {
    kind: "ServiceEntry",
    apiVersions: networking,
    namespaced: true,
    istio: true,
    schema: istioDocument(ServiceEntrySpec),
  },
  {
    kind: "WorkloadEntry",
    apiVersions: networking,
    namespaced: true,
    istio: true,
    schema: istioDocument(WorkloadEntrySpec),
  },
  {
    kind: "WorkloadGroup",
    apiVersions: networking,
    namespaced: true,
    istio: true,
    schema: istioDocument(WorkloadGroupSpec),
  },
  {
    kind: "Sidecar",
    apiVersions: networking,
    namespaced: true,
    istio: true,
    schema: istioDocument(SidecarSpec),
    // A port that was to take TLS only would take plaintext.
    failClosedAt: /\.tls\b/,
  },
  {
    kind: "AuthorizationPolicy",
    apiVersions: security,
    namespaced: true,
    istio: true,
    schema: istioDocument(AuthorizationPolicySpec),
    failClosedAt: /^/,
  },
  {
    kind: "PeerAuthentication",
    apiVersions: security,
    namespaced: true,
    istio: true,
    schema: istioDocument(PeerAuthenticationSpec),
    failClosedAt: /^/,
  },
  {
    kind: "ProxyConfig",
    apiVersions: ["networking.istio.io/v1beta1"],
    namespaced: true,
    istio: true,
    schema: istioDocument(ProxyConfigSpec),
  },
  {
    kind: "RateLimit",
    apiVersions: ["trysail.dev/v1alpha1"],
    namespaced: true,
    istio: true,
    schema: istioDocument(RateLimitSpec),
    failClosedAt: /^/,
  },
  kubernetes("v1", "Service", Type.Object({ ...head, spec: ServiceSpec, status: Type.Optional(ServiceStatus) })),
  kubernetes("discovery.k8s.io/v1", "EndpointSlice", Type.Object({ ...head, ...EndpointSliceBody.properties })),
  kubernetes("v1", "Pod", Type.Object({ ...head, spec: PodSpec, status: Type.Optional(PodStatus) })),
  { ...kubernetes("v1", "Namespace", Type.Object(head)), namespaced: false },
  { ...kubernetes("v1", "Node", Type.Object(head)), namespaced: false },
  kubernetes("v1", "ConfigMap", Type.Object({ ...head, data: Type.Optional(StringMap) })),
  kubernetes(
    "v1",
    "Secret",
    Type.Object({
      ...head,
      type: Type.Optional(Type.String()),
      data: Type.Optional(StringMap),
      stringData: Type.Optional(StringMap),
    }),
  ),
  kubernetes("v1", "ServiceAccount", Type.Object(head)),
  kubernetes("apps/v1", "Deployment", WorkloadControllerDocument),
  kubernetes("apps/v1", "StatefulSet", WorkloadControllerDocument),
  kubernetes("apps/v1", "ReplicaSet", WorkloadControllerDocument),
  kubernetes("apps/v1", "DaemonSet", WorkloadControllerDocument),
  kubernetes("batch/v1", "Job", WorkloadControllerDocument),
];

function kubernetes(apiVersion: string, kind: KnownObject["kind"], schema: TObject): KindSchema {
  return { kind, apiVersions: [apiVersion], namespaced: true, istio: false, schema };
}

const byKind: ReadonlyMap<string, KindSchema> = new Map(kindSchemas.map((entry) => [entry.kind, entry]));

/** The schema of a kind, whatever the API version. */
export function kindSchemaOf(kind: string): KindSchema | undefined {
  return byKind.get(kind);
}

/** `networking.istio.io` of `networking.istio.io/v1`; empty for the core group's `v1`. */
export function groupOf(apiVersion: string): string {
  return apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
}

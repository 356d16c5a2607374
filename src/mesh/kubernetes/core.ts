import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";

/**
 * The parts of Kubernetes' kinds that a mesh reads. Kubernetes itself validates them, so unknown fields pass and
 * are kept as they are.
 */

const PortNumber = Type.Integer({ minimum: 1, maximum: 65535 });

export const ServicePort = Type.Object({
  name: Type.Optional(Type.String()),
  port: PortNumber,
  targetPort: Type.Optional(Type.Union([PortNumber, Type.String()])),
  protocol: Type.Optional(Type.String()),
  appProtocol: Type.Optional(Type.String()),
  nodePort: Type.Optional(Type.Integer()),
});
export type ServicePort = Static<typeof ServicePort>;

export const ServiceSpec = Type.Object({
  type: Type.Optional(Type.String()),
  selector: Type.Optional(Type.Record(Type.String(), Type.String(), { additionalProperties: false })),
  clusterIP: Type.Optional(Type.String()),
  clusterIPs: Type.Optional(Type.Array(Type.String())),
  externalName: Type.Optional(Type.String()),
  externalIPs: Type.Optional(Type.Array(Type.String())),
  publishNotReadyAddresses: Type.Optional(Type.Boolean()),
  internalTrafficPolicy: Type.Optional(Type.String()),
  trafficDistribution: Type.Optional(Type.String()),
  sessionAffinity: Type.Optional(Type.String()),
  ports: Type.Optional(Type.Array(ServicePort)),
});

export const ServiceStatus = Type.Object({
  loadBalancer: Type.Optional(
    Type.Object({
      ingress: Type.Optional(
        Type.Array(Type.Object({ ip: Type.Optional(Type.String()), hostname: Type.Optional(Type.String()) })),
      ),
    }),
  ),
});

export interface Service extends MeshObject {
  readonly kind: "Service";
  readonly spec: Static<typeof ServiceSpec>;
  readonly status?: Static<typeof ServiceStatus>;
}

export const EndpointSliceBody = Type.Object({
  addressType: Type.Union([Type.Literal("IPv4"), Type.Literal("IPv6"), Type.Literal("FQDN")]),
  endpoints: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Array(
        Type.Object({
          addresses: Type.Array(Type.String(), { minItems: 1 }),
          conditions: Type.Optional(
            Type.Object({
              ready: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
              serving: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
              terminating: Type.Optional(Type.Union([Type.Boolean(), Type.Null()])),
            }),
          ),
          hostname: Type.Optional(Type.String()),
          nodeName: Type.Optional(Type.String()),
          zone: Type.Optional(Type.String()),
          hints: Type.Optional(
            Type.Object({ forZones: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))) }),
          ),
          targetRef: Type.Optional(
            Type.Object({
              kind: Type.Optional(Type.String()),
              namespace: Type.Optional(Type.String()),
              name: Type.Optional(Type.String()),
            }),
          ),
        }),
      ),
    ]),
  ),
  ports: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Array(
        Type.Object({
          name: Type.Optional(Type.String()),
          port: Type.Optional(PortNumber),
          protocol: Type.Optional(Type.String()),
          appProtocol: Type.Optional(Type.String()),
        }),
      ),
    ]),
  ),
});

export interface EndpointSlice extends MeshObject, Static<typeof EndpointSliceBody> {
  readonly kind: "EndpointSlice";
}

export const ContainerPort = Type.Object({
  containerPort: PortNumber,
  name: Type.Optional(Type.String()),
  protocol: Type.Optional(Type.String()),
});

export const Container = Type.Object({
  name: Type.String(),
  ports: Type.Optional(Type.Array(ContainerPort)),
});

export type Container = Static<typeof Container>;

/** Only what routing reads, and what tells whether a pod is to be injected; the runner and the injector read the whole pod by their own types. */
export const PodSpec = Type.Object({
  containers: Type.Array(Container),
  initContainers: Type.Optional(Type.Array(Container)),
  serviceAccountName: Type.Optional(Type.String()),
  hostNetwork: Type.Optional(Type.Boolean()),
  nodeName: Type.Optional(Type.String()),
  nodeSelector: Type.Optional(Type.Record(Type.String(), Type.String(), { additionalProperties: false })),
  os: Type.Optional(Type.Object({ name: Type.Optional(Type.String()) })),
});

export interface Pod extends MeshObject {
  readonly kind: "Pod";
  readonly spec: Static<typeof PodSpec>;
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Where nodes are, by their labels. */
export interface Node extends MeshObject {
  readonly kind: "Node";
}

export interface Namespace extends MeshObject {
  readonly kind: "Namespace";
}

export interface ConfigMap extends MeshObject {
  readonly kind: "ConfigMap";
  readonly data?: Readonly<Record<string, string>>;
}

export interface Secret extends MeshObject {
  readonly kind: "Secret";
  readonly type?: string;
  /** Base64, as in YAML; `stringData` is folded in by the parser. */
  readonly data?: Readonly<Record<string, string>>;
}

export interface ServiceAccount extends MeshObject {
  readonly kind: "ServiceAccount";
}

/** Deployment, StatefulSet, ReplicaSet, DaemonSet, Job: a pod template and how many of it. */
export interface WorkloadController extends MeshObject {
  readonly kind: "Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet" | "Job";
  readonly spec: {
    readonly replicas?: number;
    readonly completions?: number;
    readonly template: {
      readonly metadata?: {
        readonly labels?: Readonly<Record<string, string>>;
        readonly annotations?: Readonly<Record<string, string>>;
      };
      readonly spec: Static<typeof PodSpec>;
    };
  };
}

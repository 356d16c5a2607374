import { type Static, Type } from "typebox";

/**
 * A pod as the injector reads it: the fields it decides by, and nothing said about the rest, which is kept as it
 * is. Kubernetes leaves maps and lists null as readily as it leaves them out.
 */

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Optional(Type.Union([type, Type.Null()]));

const StringMap = Type.Record(Type.String(), Type.String());
const Port = Type.Union([Type.Integer(), Type.String()]);

const HttpGet = Type.Object({
  path: orNull(Type.String()),
  port: Port,
  host: orNull(Type.String()),
  scheme: orNull(Type.String()),
  httpHeaders: orNull(Type.Array(Type.Object({ name: Type.String(), value: Type.String() }))),
});

const TcpSocket = Type.Object({ port: Port, host: orNull(Type.String()) });
const Grpc = Type.Object({ port: Type.Integer(), service: orNull(Type.String()) });

const Probe = Type.Object({
  httpGet: orNull(HttpGet),
  tcpSocket: orNull(TcpSocket),
  grpc: orNull(Grpc),
  timeoutSeconds: orNull(Type.Integer({ minimum: 0 })),
  periodSeconds: orNull(Type.Integer({ minimum: 0 })),
});
export type Probe = Static<typeof Probe>;

const LifecycleHandler = Type.Object({ httpGet: orNull(HttpGet) });
const Lifecycle = Type.Object({ postStart: orNull(LifecycleHandler), preStop: orNull(LifecycleHandler) });
export type Lifecycle = Static<typeof Lifecycle>;

const RunAs = Type.Object({ runAsUser: orNull(Type.Integer()), runAsGroup: orNull(Type.Integer()) });

const Container = Type.Object({
  name: Type.String({ minLength: 1 }),
  image: orNull(Type.String()),
  imagePullPolicy: orNull(Type.String()),
  restartPolicy: orNull(Type.String()),
  securityContext: orNull(RunAs),
  resources: orNull(
    Type.Object({ limits: orNull(Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]))) }),
  ),
  ports: orNull(
    Type.Array(
      Type.Object({
        containerPort: Type.Integer(),
        name: orNull(Type.String()),
        protocol: orNull(Type.String()),
      }),
    ),
  ),
  readinessProbe: orNull(Probe),
  livenessProbe: orNull(Probe),
  startupProbe: orNull(Probe),
  lifecycle: orNull(Lifecycle),
});
export type Container = Static<typeof Container>;

const PodMetadata = Type.Object({
  name: orNull(Type.String()),
  generateName: orNull(Type.String()),
  namespace: orNull(Type.String()),
  labels: orNull(StringMap),
  annotations: orNull(StringMap),
  ownerReferences: orNull(
    Type.Array(
      Type.Object({
        apiVersion: Type.String(),
        kind: Type.String(),
        name: Type.String(),
        uid: orNull(Type.String()),
        controller: orNull(Type.Boolean()),
      }),
    ),
  ),
});

const PodSpec = Type.Object({
  containers: Type.Array(Container, { minItems: 1 }),
  initContainers: orNull(Type.Array(Container)),
  volumes: orNull(Type.Array(Type.Object({ name: Type.String() }))),
  hostNetwork: orNull(Type.Boolean()),
  serviceAccountName: orNull(Type.String()),
  securityContext: orNull(
    Type.Object({
      fsGroup: orNull(Type.Integer()),
      runAsUser: orNull(Type.Integer()),
      runAsGroup: orNull(Type.Integer()),
      sysctls: orNull(Type.Array(Type.Unknown())),
    }),
  ),
  terminationGracePeriodSeconds: orNull(Type.Integer()),
  os: orNull(Type.Object({ name: Type.String() })),
  nodeSelector: orNull(StringMap),
});

/** A Pod, and as well the `template` of anything that makes pods. */
export const PodManifest = Type.Object({
  metadata: orNull(PodMetadata),
  spec: PodSpec,
});
export type PodManifest = Static<typeof PodManifest>;

export function labelsOf(pod: PodManifest): Readonly<Record<string, string>> {
  return pod.metadata?.labels ?? {};
}

export function annotationsOf(pod: PodManifest): Readonly<Record<string, string>> {
  return pod.metadata?.annotations ?? {};
}

/** The name it has, or the one its controller has begun for it. */
export function nameOf(pod: PodManifest): string {
  return pod.metadata?.name || (pod.metadata?.generateName ?? "").replace(/-$/, "");
}

import { type Static, type TSchema, Type } from "typebox";
import { Compile } from "typebox/compile";
import { TrysailError } from "../platform/errors.ts";

/**
 * The parts of a Kubernetes pod that the runner acts on. Fields it does not know pass through untouched: a cluster
 * may act on them, this machine does not (docs/dev.md lists which).
 */

const optional = <T extends TSchema>(schema: T) => Type.Optional(schema);
const strings = Type.Record(Type.String(), Type.String());
const portRef = Type.Union([Type.Integer(), Type.String()]);

const HttpGet = Type.Object({
  path: optional(Type.String()),
  port: portRef,
  host: optional(Type.String()),
  scheme: optional(Type.String()),
  httpHeaders: optional(Type.Array(Type.Object({ name: Type.String(), value: Type.String() }))),
});
export type HttpGet = Static<typeof HttpGet>;

const Exec = Type.Object({ command: optional(Type.Array(Type.String())) });

const Probe = Type.Object({
  httpGet: optional(HttpGet),
  tcpSocket: optional(Type.Object({ port: portRef, host: optional(Type.String()) })),
  grpc: optional(Type.Object({ port: Type.Integer(), service: optional(Type.String()) })),
  exec: optional(Exec),
  initialDelaySeconds: optional(Type.Number()),
  periodSeconds: optional(Type.Number()),
  timeoutSeconds: optional(Type.Number()),
  successThreshold: optional(Type.Number()),
  failureThreshold: optional(Type.Number()),
});
export type Probe = Static<typeof Probe>;

const Lifecycle = Type.Object({
  preStop: optional(
    Type.Object({
      exec: optional(Exec),
      httpGet: optional(HttpGet),
      sleep: optional(Type.Object({ seconds: Type.Number() })),
    }),
  ),
  postStart: optional(Type.Unknown()),
});

const KeyRef = Type.Object({ name: Type.String(), key: Type.String(), optional: optional(Type.Boolean()) });

const ResourceFieldRef = Type.Object({
  resource: Type.String(),
  containerName: optional(Type.String()),
  divisor: optional(Type.Union([Type.String(), Type.Number()])),
});

const EnvVar = Type.Object({
  name: Type.String(),
  value: optional(Type.String()),
  valueFrom: optional(
    Type.Object({
      fieldRef: optional(Type.Object({ fieldPath: Type.String() })),
      resourceFieldRef: optional(ResourceFieldRef),
      configMapKeyRef: optional(KeyRef),
      secretKeyRef: optional(KeyRef),
    }),
  ),
});

const SourceRef = Type.Object({ name: Type.String(), optional: optional(Type.Boolean()) });

const EnvFrom = Type.Object({
  prefix: optional(Type.String()),
  configMapRef: optional(SourceRef),
  secretRef: optional(SourceRef),
});

const Capabilities = Type.Object({
  add: optional(Type.Array(Type.String())),
  drop: optional(Type.Array(Type.String())),
});

const ContainerSecurity = Type.Object({
  runAsUser: optional(Type.Integer()),
  runAsGroup: optional(Type.Integer()),
  runAsNonRoot: optional(Type.Boolean()),
  privileged: optional(Type.Boolean()),
  readOnlyRootFilesystem: optional(Type.Boolean()),
  allowPrivilegeEscalation: optional(Type.Boolean()),
  capabilities: optional(Capabilities),
});

const VolumeMount = Type.Object({
  name: Type.String(),
  mountPath: Type.String(),
  subPath: optional(Type.String()),
  readOnly: optional(Type.Boolean()),
});

const ContainerPort = Type.Object({
  containerPort: Type.Integer(),
  name: optional(Type.String()),
  protocol: optional(Type.String()),
});

const Quantities = Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]));

export const Container = Type.Object({
  name: Type.String({ minLength: 1 }),
  image: Type.String({ minLength: 1 }),
  command: optional(Type.Array(Type.String())),
  args: optional(Type.Array(Type.String())),
  workingDir: optional(Type.String()),
  env: optional(Type.Array(EnvVar)),
  envFrom: optional(Type.Array(EnvFrom)),
  ports: optional(Type.Array(ContainerPort)),
  volumeMounts: optional(Type.Array(VolumeMount)),
  resources: optional(Type.Object({ limits: optional(Quantities), requests: optional(Quantities) })),
  securityContext: optional(ContainerSecurity),
  restartPolicy: optional(Type.String()),
  startupProbe: optional(Probe),
  livenessProbe: optional(Probe),
  readinessProbe: optional(Probe),
  lifecycle: optional(Lifecycle),
});
export type Container = Static<typeof Container>;

const KeyToPath = Type.Object({ key: Type.String(), path: Type.String(), mode: optional(Type.Integer()) });

const ConfigMapSource = Type.Object({
  name: Type.String(),
  items: optional(Type.Array(KeyToPath)),
  optional: optional(Type.Boolean()),
  defaultMode: optional(Type.Integer()),
});
export type ConfigMapSource = Static<typeof ConfigMapSource>;

const SecretSource = Type.Object({
  secretName: optional(Type.String()),
  name: optional(Type.String()),
  items: optional(Type.Array(KeyToPath)),
  optional: optional(Type.Boolean()),
  defaultMode: optional(Type.Integer()),
});
export type SecretSource = Static<typeof SecretSource>;

const DownwardApiSource = Type.Object({
  items: optional(
    Type.Array(
      Type.Object({
        path: Type.String(),
        mode: optional(Type.Integer()),
        fieldRef: optional(Type.Object({ fieldPath: Type.String() })),
        resourceFieldRef: optional(ResourceFieldRef),
      }),
    ),
  ),
  defaultMode: optional(Type.Integer()),
});
export type DownwardApiSource = Static<typeof DownwardApiSource>;

const TokenSource = Type.Object({
  path: Type.String(),
  audience: optional(Type.String()),
  expirationSeconds: optional(Type.Integer()),
});
export type TokenSource = Static<typeof TokenSource>;

export const Volume = Type.Object({
  name: Type.String({ minLength: 1 }),
  emptyDir: optional(Type.Object({ medium: optional(Type.String()), sizeLimit: optional(Type.Unknown()) })),
  hostPath: optional(Type.Object({ path: Type.String() })),
  persistentVolumeClaim: optional(Type.Object({ claimName: Type.String() })),
  configMap: optional(ConfigMapSource),
  secret: optional(SecretSource),
  downwardAPI: optional(DownwardApiSource),
  projected: optional(
    Type.Object({
      defaultMode: optional(Type.Integer()),
      sources: Type.Array(
        Type.Object({
          serviceAccountToken: optional(TokenSource),
          configMap: optional(ConfigMapSource),
          secret: optional(SecretSource),
          downwardAPI: optional(DownwardApiSource),
        }),
      ),
    }),
  ),
});
export type Volume = Static<typeof Volume>;

export const PodSpec = Type.Object({
  containers: Type.Array(Container, { minItems: 1 }),
  initContainers: optional(Type.Array(Container)),
  volumes: optional(Type.Array(Volume)),
  serviceAccountName: optional(Type.String()),
  restartPolicy: optional(Type.String()),
  terminationGracePeriodSeconds: optional(Type.Integer()),
  hostname: optional(Type.String()),
  subdomain: optional(Type.String()),
  hostNetwork: optional(Type.Boolean()),
  hostAliases: optional(Type.Array(Type.Object({ ip: Type.String(), hostnames: optional(Type.Array(Type.String())) }))),
  securityContext: optional(
    Type.Object({
      runAsUser: optional(Type.Integer()),
      runAsGroup: optional(Type.Integer()),
      runAsNonRoot: optional(Type.Boolean()),
      fsGroup: optional(Type.Integer()),
      supplementalGroups: optional(Type.Array(Type.Integer())),
      sysctls: optional(Type.Array(Type.Object({ name: Type.String(), value: Type.String() }))),
    }),
  ),
});
export type PodSpec = Static<typeof PodSpec>;

const OwnerReference = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  name: Type.String(),
  uid: optional(Type.String()),
  controller: optional(Type.Boolean()),
  blockOwnerDeletion: optional(Type.Boolean()),
});
export type OwnerReference = Static<typeof OwnerReference>;

export const PodMetadata = Type.Object({
  name: optional(Type.String()),
  generateName: optional(Type.String()),
  namespace: Type.String(),
  uid: optional(Type.String()),
  creationTimestamp: optional(Type.Union([Type.String(), Type.Null()])),
  labels: optional(strings),
  annotations: optional(strings),
  ownerReferences: optional(Type.Array(OwnerReference)),
});

/** A pod as it is sent to the webhook and comes back from it: its name may still be open (`generateName`). */
export const PodManifest = Type.Object({
  apiVersion: Type.Literal("v1"),
  kind: Type.Literal("Pod"),
  metadata: PodMetadata,
  spec: PodSpec,
});
export type PodManifest = Static<typeof PodManifest>;

const validator = Compile(PodManifest);

/** Throws `invalid-argument` naming the first field that is wrong. */
export function parsePod(input: unknown): PodManifest {
  if (validator.Check(input)) return input;
  const problem = validator.Errors(input)[0];
  const field =
    problem === undefined ? "" : `${problem.instancePath.slice(1).replaceAll("/", ".")}: ${problem.message}`;
  throw new TrysailError("invalid-argument", `the pod is not valid: ${field}`);
}

/** Init containers that keep running beside the app, started before it. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === "Always";
}

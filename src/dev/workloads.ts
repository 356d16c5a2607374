import { createHash } from "node:crypto";
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { describeObject, type Finding } from "../mesh/finding.ts";
import { type MeshObject, refOf } from "../mesh/object.ts";
import { type PodManifest, PodSpec } from "./pod.ts";
import { shortHash, stableJson } from "./short-hash.ts";

/** What a controller wants: pods of one template, how many, and how they follow a change of it. */
export interface PodSet {
  /** `Deployment bookstore/page`. */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** Changes with the template. */
  readonly revision: string;
  readonly replicas: number;
  readonly rollout: Rollout;
  /** `ordinal` for pods that are told apart by a number. Without a name where the API server generates one. */
  buildPod(ordinal: number | undefined): PodManifest;
}

export type Rollout =
  /** `replicas` pods, replaced within these bounds. */
  | { readonly kind: "rolling"; readonly maxSurge: number; readonly maxUnavailable: number }
  /** `replicas` pods, all ended before the new ones start. */
  | { readonly kind: "recreate" }
  /** Pods numbered from 0, one after the other unless `parallel`. */
  | { readonly kind: "ordered"; readonly parallel: boolean }
  /** `replicas` pods that must succeed, so many at a time, so many failures forgiven. */
  | { readonly kind: "job"; readonly parallelism: number; readonly backoffLimit: number };

const Bound = Type.Optional(Type.Union([Type.Integer(), Type.String()]));
const Template = Type.Object({
  metadata: Type.Optional(
    Type.Object({
      labels: Type.Optional(Type.Record(Type.String(), Type.String())),
      annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
  ),
  spec: PodSpec,
});
type Template = Static<typeof Template>;

const Controller = Type.Object({
  spec: Type.Object({
    replicas: Type.Optional(Type.Integer({ minimum: 0 })),
    completions: Type.Optional(Type.Integer({ minimum: 0 })),
    parallelism: Type.Optional(Type.Integer({ minimum: 0 })),
    backoffLimit: Type.Optional(Type.Integer({ minimum: 0 })),
    serviceName: Type.Optional(Type.String()),
    podManagementPolicy: Type.Optional(Type.String()),
    strategy: Type.Optional(
      Type.Object({
        type: Type.Optional(Type.String()),
        rollingUpdate: Type.Optional(Type.Object({ maxSurge: Bound, maxUnavailable: Bound })),
      }),
    ),
    volumeClaimTemplates: Type.Optional(Type.Array(Type.Object({ metadata: Type.Object({ name: Type.String() }) }))),
    template: Template,
  }),
});
const controllers = Compile(Controller);
const barePods = Compile(Type.Object({ spec: PodSpec }));

const KINDS = ["Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Job"];

/** The pods an object asks for, a Finding where it asks for them wrongly, undefined for other kinds. */
export function buildPodSet(object: MeshObject): PodSet | Finding | undefined {
  if (object.kind === "Pod") {
    const owned = object.metadata.ownerReferences?.some(({ controller }) => controller === true) === true;
    if (owned) return undefined;
    return barePods.Check(object) ? barePodSet(object, object.spec) : finding(object, barePods.Errors(object)[0]);
  }
  if (!KINDS.includes(object.kind)) return undefined;
  if (!controllers.Check(object)) return finding(object, controllers.Errors(object)[0]);
  return controllerPodSet(object, object.spec);
}

function barePodSet(object: MeshObject, spec: PodSpec): PodSet {
  const { name, namespace, labels, annotations } = object.metadata;
  return {
    ...identity(object, stableJson({ labels, annotations, spec })),
    replicas: 1,
    rollout: { kind: "ordered", parallel: true },
    buildPod: () => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace, labels, annotations },
      spec: withDefaults(spec, "Always"),
    }),
  };
}

function controllerPodSet(object: MeshObject, spec: Static<typeof Controller>["spec"]): PodSet {
  const { kind } = object;
  const base = identity(object, stableJson(spec.template));
  const replicas =
    kind === "Job" ? (spec.completions ?? spec.parallelism ?? 1) : kind === "DaemonSet" ? 1 : (spec.replicas ?? 1);
  const rollout = rolloutOf(kind, spec, replicas);
  const podSpec = withDefaults(spec.template.spec, "Always");
  if (kind === "StatefulSet") {
    const claims = spec.volumeClaimTemplates?.map(({ metadata }) => metadata.name) ?? [];
    return {
      ...base,
      replicas,
      rollout,
      buildPod: (ordinal = 0) =>
        statefulPod(object, base.revision, spec.template, podSpec, ordinal, spec.serviceName, claims),
    };
  }
  const owned =
    kind === "Deployment" ? { kind: "ReplicaSet", name: `${base.name}-${base.revision}` } : { kind, name: base.name };
  const generated: Record<string, string> =
    kind === "Deployment"
      ? { "pod-template-hash": base.revision }
      : kind === "Job"
        ? { "job-name": base.name, "batch.kubernetes.io/job-name": base.name }
        : {};
  return {
    ...base,
    replicas,
    rollout,
    buildPod: () => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        generateName: `${owned.name}-`,
        namespace: base.namespace,
        labels: { ...spec.template.metadata?.labels, ...generated },
        ...(spec.template.metadata?.annotations === undefined
          ? {}
          : { annotations: spec.template.metadata.annotations }),
        ownerReferences: [ownerReference(object, owned)],
      },
      spec: podSpec,
    }),
  };
}

function statefulPod(
  object: MeshObject,
  revision: string,
  template: Template,
  spec: PodSpec,
  ordinal: number,
  subdomain: string | undefined,
  claims: readonly string[],
): PodManifest {
  const name = `${object.metadata.name}-${ordinal}`;
  const volumes = claims.map((claim) => ({ name: claim, persistentVolumeClaim: { claimName: `${claim}-${name}` } }));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: object.metadata.namespace,
      labels: {
        ...template.metadata?.labels,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": String(ordinal),
        "controller-revision-hash": `${object.metadata.name}-${revision}`,
      },
      ...(template.metadata?.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
      ownerReferences: [ownerReference(object, { kind: "StatefulSet", name: object.metadata.name })],
    },
    spec: {
      ...spec,
      hostname: name,
      ...(subdomain === undefined ? {} : { subdomain }),
      volumes: [...(spec.volumes ?? []), ...volumes],
    },
  };
}

function rolloutOf(kind: string, spec: Static<typeof Controller>["spec"], replicas: number): Rollout {
  if (kind === "Job") return { kind: "job", parallelism: spec.parallelism ?? 1, backoffLimit: spec.backoffLimit ?? 6 };
  if (kind === "StatefulSet") return { kind: "ordered", parallel: spec.podManagementPolicy === "Parallel" };
  if (kind === "DaemonSet" || spec.strategy?.type === "Recreate") return { kind: "recreate" };
  const bounds = spec.strategy?.rollingUpdate ?? {};
  const maxSurge = bound(bounds.maxSurge ?? "25%", replicas, Math.ceil);
  const maxUnavailable = bound(bounds.maxUnavailable ?? "25%", replicas, Math.floor);
  return { kind: "rolling", maxSurge: maxSurge === 0 && maxUnavailable === 0 ? 1 : maxSurge, maxUnavailable };
}

function bound(value: number | string, replicas: number, round: (value: number) => number): number {
  if (typeof value === "number") return value;
  const percent = Number.parseInt(value, 10);
  return Number.isNaN(percent) ? 0 : round((percent / 100) * replicas);
}

/** What the API server fills in, as far as the webhook and the runner read it. */
function withDefaults(spec: PodSpec, restartPolicy: string): PodSpec {
  return {
    ...spec,
    restartPolicy: spec.restartPolicy ?? restartPolicy,
    terminationGracePeriodSeconds: spec.terminationGracePeriodSeconds ?? 30,
    serviceAccountName: spec.serviceAccountName ?? "default",
  };
}

function identity(object: MeshObject, template: string): Pick<PodSet, "key" | "namespace" | "name" | "revision"> {
  const { name, namespace } = object.metadata;
  return { key: describeObject(refOf(object)), namespace, name, revision: shortHash(template, 10) };
}

function ownerReference(object: MeshObject, owner: { kind: string; name: string }) {
  const apiVersion = owner.kind === "Job" ? "batch/v1" : "apps/v1";
  const uid = uidOf(`${owner.kind} ${object.metadata.namespace}/${owner.name}`);
  return { apiVersion, ...owner, uid, controller: true, blockOwnerDeletion: true };
}

/** A uid that follows from the name: there is no API server to hand one out. */
function uidOf(text: string): string {
  const hex = Buffer.from(stableDigest(text)).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function stableDigest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest().subarray(0, 16);
}

function finding(object: MeshObject, problem: { instancePath: string; message: string } | undefined): Finding {
  const field = problem?.instancePath.slice(1).replaceAll("/", ".") ?? "";
  return {
    severity: "error",
    code: "schema-invalid",
    message: `${describeObject(refOf(object))} runs no pods: ${field} ${problem?.message ?? "is not valid"}`,
    object: refOf(object),
    field,
    ...(object.origin === undefined ? {} : { origin: object.origin }),
  };
}

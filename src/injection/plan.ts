import { TrysailError } from "../platform/errors.ts";
import { buildInitContainer } from "./init-container.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { annotationsOf, labelsOf, type PodManifest } from "./pod.ts";
import { CONTAINER_NAME, PROXY_ID } from "./pod-contract.ts";
import { type ProbeRewrite, planProbes } from "./probes.ts";
import { buildSidecarContainer } from "./sidecar-container.ts";
import { parseTrafficAnnotations } from "./traffic-annotations.ts";
import { buildVolumes, VOLUME_NAMES } from "./volumes.ts";
import { type Owner, ownerOf } from "./workload-owner.ts";

/** Everything injection adds to one pod. Nothing the user wrote is replaced, but for the probes. */
export interface InjectionPlan {
  /** Only those the pod does not set itself. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Run before the pod's own, so that those already have the mesh. */
  readonly initContainers: readonly NewContainer[];
  readonly volumes: readonly NamedObject[];
  /** So that the sidecar may read its token; null where the pod sets its own, which serves as well. */
  readonly fsGroup: number | null;
  readonly probes: readonly ProbeRewrite[];
}

/** A piece of a pod as it stands in the manifest. */
export interface NamedObject {
  readonly name: string;
  readonly [field: string]: unknown;
}

export interface NewContainer extends NamedObject {
  readonly args: readonly string[];
  readonly volumeMounts: readonly NamedObject[];
}

export interface PlanInput {
  readonly pod: PodManifest;
  readonly namespace: string;
  /** What made the pod, where the pod does not say. */
  readonly owner?: Owner;
  readonly config: InjectionConfig;
}

/** @throws TrysailError `invalid-argument` naming the annotation or field that stands in the way. */
export function buildPlan({ pod, namespace, config, owner = ownerOf(pod) }: PlanInput): InjectionPlan {
  assertNamesFree(pod);
  const interception = parseTrafficAnnotations(annotationsOf(pod), config.interception);
  const { rewrites, probers } = planProbes(pod);
  const initContainers = [
    buildInitContainer({ pod, namespace, owner, interception, probers, config }),
    buildSidecarContainer(config),
  ];
  const volumes = buildVolumes(config);
  return {
    labels: missingLabels(pod, owner),
    annotations: missingAnnotations(pod, config, initContainers, volumes),
    initContainers,
    volumes,
    fsGroup: pod.spec.securityContext?.fsGroup == null ? PROXY_ID : null,
    probes: rewrites,
  };
}

function assertNamesFree(pod: PodManifest): void {
  const taken: readonly string[] = Object.values(CONTAINER_NAME);
  for (const field of ["containers", "initContainers"] as const) {
    const index = (pod.spec[field] ?? []).findIndex(({ name }) => taken.includes(name));
    if (index >= 0) throw nameTaken(`spec.${field}[${index}].name`, pod.spec[field]?.[index]?.name);
  }
  const index = (pod.spec.volumes ?? []).findIndex(({ name }) => VOLUME_NAMES.includes(name));
  if (index >= 0) throw nameTaken(`spec.volumes[${index}].name`, pod.spec.volumes?.[index]?.name);
}

function nameTaken(field: string, name: string | undefined): TrysailError {
  return new TrysailError(
    "invalid-argument",
    `${field}: the sidecar needs the name ${name} for itself; choose another`,
  );
}

/** https://istio.io/latest/docs/reference/config/labels/ */
function missingLabels(pod: PodManifest, owner: Owner): Record<string, string> {
  const labels = labelsOf(pod);
  return missing(labels, {
    "security.istio.io/tlsMode": "istio",
    "service.istio.io/canonical-name": labels["app.kubernetes.io/name"] ?? labels.app ?? owner.name,
    "service.istio.io/canonical-revision": labels["app.kubernetes.io/version"] ?? labels.version ?? "latest",
  });
}

function missingAnnotations(
  pod: PodManifest,
  config: InjectionConfig,
  initContainers: readonly NamedObject[],
  volumes: readonly NamedObject[],
): Record<string, string> {
  const firstContainer = pod.spec.containers[0]?.name ?? "";
  const status = {
    initContainers: initContainers.map(({ name }) => name),
    containers: null,
    volumes: volumes.map(({ name }) => name),
    imagePullSecrets: null,
    revision: config.revision,
  };
  return {
    ...missing(annotationsOf(pod), {
      // Where `kubectl logs` and `kubectl exec` go when they are not told.
      "kubectl.kubernetes.io/default-container": firstContainer,
      "kubectl.kubernetes.io/default-logs-container": firstContainer,
    }),
    "istio.io/rev": config.revision,
    "sidecar.istio.io/status": JSON.stringify(status),
  };
}

function missing(present: Readonly<Record<string, string>>, wanted: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(wanted).filter(([key]) => !Object.hasOwn(present, key)));
}

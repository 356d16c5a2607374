import type { Admitted } from "./admission.ts";
import type { ContainerStatus } from "./container-runner.ts";
import type { ManifestObject } from "./object-folder.ts";
import { type Container, isSidecar } from "./pod.ts";
import type { RunningPod } from "./running-pod.ts";

export type PodPhase = "Pending" | "Running" | "Succeeded" | "Failed";

/** All that is known of a pod at this moment. */
export interface PodStatus {
  /** Until the pod is admitted, the name it will be generated from. */
  readonly name: string;
  readonly namespace: string;
  readonly phase: PodPhase;
  /** What `kubectl get pods` would print as STATUS. */
  readonly reason: string;
  readonly message: string;
  readonly ready: boolean;
  readonly terminating: boolean;
  readonly createdAt: number;
  readonly readyAt?: number;
  readonly admission?: Admitted;
  /** Present once it has an address. */
  readonly pod?: RunningPod;
  readonly initContainers: readonly ContainerStatus[];
  readonly containers: readonly ContainerStatus[];
}

/** Whether a proxy runs beside or in it, that has been ready. */
export function hasProxy({ ready, terminating, initContainers, containers }: PodStatus): boolean {
  return ready && !terminating && [...initContainers, ...containers].some(({ name }) => name === "istio-proxy");
}

/** A container whose turn has not come. */
export function notStarted(container: Container): ContainerStatus {
  return {
    name: container.name,
    image: container.image,
    state: { kind: "waiting", reason: "PodInitializing" },
    started: false,
    ready: false,
    restarts: 0,
  };
}

/** The one word, and the sentence behind it, that say how a pod is doing: the words kubectl prints. */
export function summarize(
  pod: { phase: PodPhase; waiting: { reason: string; message: string }; terminating: boolean },
  specs: { initContainers: readonly Container[]; containers: readonly Container[] },
  statuses: ReadonlyMap<string, ContainerStatus>,
): { reason: string; message: string } {
  if (pod.terminating) return { reason: "Terminating", message: "" };
  if (pod.phase === "Succeeded" || pod.phase === "Failed" || statuses.size === 0) return pod.waiting;
  const inits = specs.initContainers.map((container) => ({ container, status: statuses.get(container.name) }));
  for (const [index, { container, status }] of inits.entries()) {
    const passed = isSidecar(container) ? status?.started === true : exitCode(status) === 0;
    if (passed || pod.phase === "Running") continue;
    const trouble = status === undefined ? undefined : troubleOf(status);
    if (trouble !== undefined) return { reason: `Init:${trouble.reason}`, message: trouble.message };
    return {
      reason: `Init:${index}/${inits.length}`,
      message: `${container.name}${status?.complaint ? `: ${status.complaint}` : ""}`,
    };
  }
  for (const container of [...specs.containers, ...specs.initContainers.filter(isSidecar)]) {
    const status = statuses.get(container.name);
    const trouble = status === undefined ? undefined : troubleOf(status);
    if (trouble !== undefined) return trouble;
  }
  for (const status of statuses.values()) {
    if (!status.ready && status.complaint !== undefined)
      return { reason: "Running", message: `${status.name}: ${status.complaint}` };
  }
  return { reason: pod.phase === "Running" ? "Running" : pod.waiting.reason, message: "" };
}

function troubleOf({ name, state, complaint }: ContainerStatus): { reason: string; message: string } | undefined {
  const because = complaint === undefined ? "" : ` (${complaint})`;
  if (state.kind === "waiting" && state.reason !== "PodInitializing" && state.reason !== "ContainerCreating") {
    return {
      reason: state.reason,
      message: `${state.message?.startsWith("container ") ? "" : `container ${name}: `}${state.message ?? ""}${because}`,
    };
  }
  if (state.kind === "terminated" && state.exitCode !== 0) {
    return { reason: "Error", message: `container ${name} exited with ${state.exitCode}${because}` };
  }
  return undefined;
}

function exitCode(status: ContainerStatus | undefined): number | undefined {
  return status?.state.kind === "terminated" ? status.state.exitCode : undefined;
}

/** The pod as an API server would show it, for the control plane to read; undefined until it is admitted. */
export function buildPodObject(status: PodStatus): ManifestObject | undefined {
  const { pod } = status;
  if (pod === undefined) return undefined;
  const { metadata, spec } = pod.manifest;
  const initialized = status.phase === "Running" || status.phase === "Succeeded";
  const condition = (type: string, holds: boolean) => ({ type, status: holds ? "True" : "False" });
  const object = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...metadata, ...(status.terminating ? { deletionTimestamp: metadata.creationTimestamp } : {}) },
    spec: { ...spec, nodeName: pod.node.name },
    status: {
      phase: status.phase,
      hostIP: pod.node.ip,
      podIP: pod.ip,
      podIPs: [{ ip: pod.ip }],
      conditions: [
        condition("PodScheduled", true),
        condition("Initialized", initialized),
        condition("ContainersReady", status.ready),
        condition("Ready", status.ready),
      ],
      initContainerStatuses: status.initContainers.map(containerObject),
      containerStatuses: status.containers.map(containerObject),
    },
  };
  return object;
}

function containerObject(status: ContainerStatus): object {
  const { state } = status;
  const time = (ms: number) => new Date(ms).toISOString();
  return {
    name: status.name,
    image: status.image,
    ready: status.ready,
    started: status.started,
    restartCount: status.restarts,
    state:
      state.kind === "running"
        ? { running: { startedAt: time(state.startedAt) } }
        : state.kind === "terminated"
          ? { terminated: { exitCode: state.exitCode, reason: state.reason, finishedAt: time(state.finishedAt) } }
          : { waiting: { reason: state.reason, ...(state.message === undefined ? {} : { message: state.message }) } },
  };
}

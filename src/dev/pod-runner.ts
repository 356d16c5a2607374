import { randomUUID } from "node:crypto";
import { chmod, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Admit, Admitted } from "./admission.ts";
import { type BackOff, restartDelayMs } from "./back-off.ts";
import type { ContainerProcess } from "./container-process.ts";
import { type ContainerRunner, type RestartRule, reasonOf, startContainerRunner } from "./container-runner.ts";
import type { NodeNetwork, PodNetwork } from "./node-network.ts";
import { type Container, isSidecar, type PodManifest, type Probe, parsePod } from "./pod.ts";
import { notStarted, type PodPhase, type PodStatus, summarize } from "./pod-status.ts";
import type { CheckResult } from "./probe-check.ts";
import type { RunningPod } from "./running-pod.ts";
import { randomSuffix } from "./short-hash.ts";
import type { VolumeFolders } from "./volume-folders.ts";

export interface PodRunnerDeps {
  readonly clock: Clock;
  readonly backOff: BackOff;
  readonly admit: Admit;
  readonly network: NodeNetwork;
  readonly node: RunningPod["node"];
  /** Where pods keep their volumes and layers: a tmpfs. */
  readonly podsFolder: string;
  createVolumes(pod: RunningPod, folder: string): Promise<VolumeFolders>;
  launch(start: ContainerStart): Promise<ContainerProcess>;
  check(
    probe: Probe,
    container: Container,
    ip: string,
    process: ContainerProcess,
    timeoutMs: number,
  ): Promise<CheckResult>;
  onChange(): void;
}

export interface ContainerStart {
  readonly pod: RunningPod;
  readonly container: Container;
  readonly attempt: number;
  readonly netns: string;
  readonly folder: string;
  readonly volumes: ReadonlyMap<string, string>;
}

export interface PodRunner {
  status(): PodStatus;
  refreshVolumes(): Promise<void>;
  /** Ends it as a kubelet would, and resolves when nothing of it is left. */
  terminate(): Promise<void>;
}

/** Takes a pod from its manifest to its end: admission, network, volumes, init containers, sidecars, app. */
export function startPodRunner(deps: PodRunnerDeps, wanted: PodManifest): PodRunner {
  const createdAt = deps.clock.now();
  const uid = randomUUID();
  const folder = join(deps.podsFolder, uid);
  const runners = new Map<string, ContainerRunner>();
  let admission: Admitted | undefined;
  let pod: RunningPod | undefined;
  let network: PodNetwork | undefined;
  let volumes: VolumeFolders | undefined;
  let phase: PodPhase = "Pending";
  let waiting: { reason: string; message: string } = { reason: "Pending", message: "" };
  let readyAt: number | undefined;
  let terminating = false;
  let wake: (() => void) | undefined;
  const waiters = new Set<() => void>();

  const stopped = () => terminating;
  const changed = () => {
    if (readyAt === undefined && isReady()) readyAt = deps.clock.now();
    for (const look of [...waiters]) look();
    deps.onChange();
  };

  /** Tries until it works or the pod is to end; what is wrong shows in the pod's status meanwhile. */
  async function insist<T>(step: () => Promise<T>, reasonFor: (thrown: unknown) => string): Promise<T | undefined> {
    for (let failures = 1; !stopped(); failures++) {
      try {
        return await step();
      } catch (thrown) {
        waiting = { reason: reasonFor(thrown), message: messageOf(thrown) };
        changed();
      }
      await new Promise<void>((resolve) => {
        const cancel = deps.clock.after(restartDelayMs(deps.backOff, failures), resolve);
        wake = () => {
          cancel();
          resolve();
        };
      });
    }
    return undefined;
  }

  async function prepare(): Promise<boolean> {
    admission = await insist(() => deps.admit(parsePod(wanted)), admissionReason);
    if (admission === undefined) return false;
    const manifest = admission.pod;
    network = await insist(
      () => deps.network.addPod(manifest.spec.securityContext?.sysctls ?? []),
      () => "NetworkNotReady",
    );
    if (network === undefined) return false;
    const running = named(manifest, uid, createdAt, network.ip, deps.node);
    pod = running;
    waiting = { reason: "ContainerCreating", message: "" };
    changed();
    await mkdir(join(folder, "shm"), { recursive: true });
    await chmod(join(folder, "shm"), 0o1777);
    volumes = await insist(() => deps.createVolumes(running, join(folder, "volumes")), reasonOf);
    return volumes !== undefined;
  }

  function start(container: Container, rule: RestartRule): ContainerRunner {
    const running = pod;
    const net = network;
    if (running === undefined || net === undefined)
      throw new Error("a container was started before its pod was prepared");
    const runner = startContainerRunner(
      {
        clock: deps.clock,
        backOff: deps.backOff,
        podIp: running.ip,
        onChange: changed,
        launch: async (attempt) => {
          const own = join(folder, "containers", container.name);
          await rm(own, { recursive: true, force: true });
          await mkdir(own, { recursive: true });
          const start = {
            pod: running,
            container,
            attempt,
            netns: net.netns,
            folder: own,
            volumes: volumes?.paths ?? new Map(),
          };
          return deps.launch(start);
        },
        check: (probe, process, timeoutMs) => deps.check(probe, container, running.ip, process, timeoutMs),
      },
      container,
      rule,
      graceMs(),
    );
    runners.set(container.name, runner);
    return runner;
  }

  async function run(): Promise<void> {
    if (!(await prepare()) || pod === undefined) return;
    const { spec } = pod.manifest;
    const never = spec.restartPolicy === "Never";
    for (const container of spec.initContainers ?? []) {
      if (stopped()) return;
      if (isSidecar(container)) {
        const runner = start(container, "always");
        await until(() => runner.status().started || stopped());
        continue;
      }
      const exitCode = await start(container, never ? "never" : "on-failure").finished;
      if (stopped()) return;
      if (exitCode !== 0) return await end("Failed", `init container ${container.name} exited with ${exitCode}`);
    }
    if (stopped()) return;
    phase = "Running";
    const rule: RestartRule = never ? "never" : spec.restartPolicy === "OnFailure" ? "on-failure" : "always";
    const apps = spec.containers.map((container) => start(container, rule));
    const exitCodes = await Promise.all(apps.map((app) => app.finished));
    if (stopped()) return;
    const failed = exitCodes.some((code) => code !== 0);
    await end(failed ? "Failed" : "Succeeded", failed ? "a container failed" : "");
  }

  /** Every state this waits for announces itself by `changed`. */
  function until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return;
        waiters.delete(look);
        resolve();
      };
      waiters.add(look);
      look();
    });
  }

  async function end(how: "Succeeded" | "Failed", message: string): Promise<void> {
    await stopContainers();
    phase = how;
    waiting = { reason: how === "Succeeded" ? "Completed" : "Error", message };
    volumes?.stop();
    changed();
  }

  /** The app first, all at once; then sidecars, the last one first, as they may serve the app until its end. */
  async function stopContainers(): Promise<void> {
    const { spec } = pod?.manifest ?? { spec: undefined };
    const deadline = deps.clock.now() + graceMs();
    const left = () => Math.max(0, deadline - deps.clock.now());
    const stop = (container: Container) => runners.get(container.name)?.stop(left()) ?? Promise.resolve();
    await Promise.all((spec?.containers ?? []).map(stop));
    for (const container of [...(spec?.initContainers ?? [])].reverse()) await stop(container);
  }

  function graceMs(): number {
    return ((pod?.manifest ?? wanted).spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  function isReady(): boolean {
    if (phase !== "Running" || pod === undefined) return false;
    const { spec } = pod.manifest;
    const gating = [...spec.containers, ...(spec.initContainers ?? []).filter(isSidecar)];
    return gating.every((container) => runners.get(container.name)?.status().ready === true);
  }

  const work = run().catch((thrown: unknown) => {
    waiting = { reason: "Error", message: messageOf(thrown) };
    changed();
  });
  let ended: Promise<void> | undefined;

  async function terminate(): Promise<void> {
    terminating = true;
    wake?.();
    changed();
    await stopContainers();
    await work;
    volumes?.stop();
    await network?.remove().catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  }

  return {
    status() {
      const spec = (pod?.manifest ?? admission?.pod ?? wanted).spec;
      const initContainers = spec.initContainers ?? [];
      const known = new Map([...runners].map(([name, runner]) => [name, runner.status()]));
      const statusOf = (container: Container) => known.get(container.name) ?? notStarted(container);
      return {
        name: pod?.name ?? wanted.metadata.name ?? `${wanted.metadata.generateName ?? ""}?`,
        namespace: wanted.metadata.namespace,
        phase,
        ...summarize({ phase, waiting, terminating }, { initContainers, containers: spec.containers }, known),
        ready: isReady(),
        terminating,
        createdAt,
        initContainers: initContainers.map(statusOf),
        containers: spec.containers.map(statusOf),
        ...(readyAt === undefined ? {} : { readyAt }),
        ...(admission === undefined ? {} : { admission }),
        ...(pod === undefined ? {} : { pod }),
      };
    },
    refreshVolumes: async () => volumes?.refresh(),
    terminate: () => {
      ended ??= terminate().finally(deps.onChange);
      return ended;
    },
  };
}

function admissionReason(thrown: unknown): string {
  if (!(thrown instanceof TrysailError)) return "AdmissionError";
  if (thrown.code === "permission-denied") return "AdmissionDenied";
  return thrown.code === "unavailable" ? "AdmissionUnavailable" : "AdmissionError";
}

/** What the API server, the scheduler and the kubelet add to an admitted pod. */
function named(
  manifest: PodManifest,
  uid: string,
  createdAt: number,
  ip: string,
  node: RunningPod["node"],
): RunningPod {
  const name = manifest.metadata.name ?? `${manifest.metadata.generateName ?? "pod-"}${randomSuffix()}`;
  const creationTimestamp = new Date(createdAt).toISOString();
  return {
    manifest: { ...manifest, metadata: { ...manifest.metadata, name, uid, creationTimestamp } },
    name,
    namespace: manifest.metadata.namespace,
    uid,
    ip,
    node,
  };
}

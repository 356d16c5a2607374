import type { Clock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { type BackOff, restartDelayMs } from "./back-off.ts";
import type { ContainerProcess } from "./container-process.ts";
import type { Container, Probe } from "./pod.ts";
import { type CheckResult, httpGet } from "./probe-check.ts";
import type { ProbeState } from "./probe-state.ts";
import { startProbe } from "./probe-worker.ts";

export type ContainerState =
  | { readonly kind: "waiting"; readonly reason: string; readonly message?: string }
  | { readonly kind: "running"; readonly startedAt: number }
  | { readonly kind: "terminated"; readonly reason: string; readonly exitCode: number; readonly finishedAt: number };

export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  readonly state: ContainerState;
  /** The startup probe passed; without one, the process runs. */
  readonly started: boolean;
  readonly ready: boolean;
  readonly restarts: number;
  /** What the last probe or exit said, while something is wrong. */
  readonly complaint?: string;
}

export type RestartRule = "always" | "on-failure" | "never";

export interface ContainerRunnerDeps {
  readonly clock: Clock;
  readonly backOff: BackOff;
  /** Prepares and starts the container for the given time, counted from 0. May reject: it is asked again later. */
  launch(attempt: number): Promise<ContainerProcess>;
  check(probe: Probe, process: ContainerProcess, timeoutMs: number): Promise<CheckResult>;
  /** The pod's address, for a preStop request. */
  readonly podIp: string;
  onChange(): void;
}

/** Keeps one container running by its restart rule and probes. */
export interface ContainerRunner {
  status(): ContainerStatus;
  /** Resolves with the exit code once it will not be started again. */
  readonly finished: Promise<number>;
  /** preStop, SIGTERM, and SIGKILL when the grace period is over. Resolves when nothing of it runs. */
  stop(graceMs: number): Promise<void>;
}

export function startContainerRunner(
  deps: ContainerRunnerDeps,
  container: Container,
  rule: RestartRule,
  graceMs: number,
): ContainerRunner {
  let state: ContainerState = { kind: "waiting", reason: "ContainerCreating" };
  let started = false;
  let ready = false;
  let restarts = 0;
  let complaint: string | undefined;
  let current: ContainerProcess | undefined;
  let wake: (() => void) | undefined;
  let stopping = false;
  let probes: (() => void)[] = [];

  const change = (
    next: Partial<{ state: ContainerState; started: boolean; ready: boolean; complaint: string | undefined }>,
  ) => {
    state = next.state ?? state;
    started = next.started ?? started;
    ready = next.ready ?? ready;
    if ("complaint" in next) complaint = next.complaint;
    deps.onChange();
  };

  function pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = deps.clock.after(delayMs, resolve);
      wake = () => {
        cancel();
        resolve();
      };
    });
  }

  function watch(
    process: ContainerProcess,
    probe: Probe,
    quick: boolean,
    onResult: (probed: ProbeState, result: CheckResult) => void,
  ) {
    const check = (_: Probe, timeoutMs: number) => deps.check(probe, process, timeoutMs);
    probes.push(startProbe({ clock: deps.clock, check, onResult }, probe, quick));
  }

  function watchStart(process: ContainerProcess): void {
    const { startupProbe } = container;
    if (startupProbe === undefined) {
      watchLife(process);
      return;
    }
    watch(process, startupProbe, true, (probed, result) => {
      if (probed.verdict === "failure") return void unhealthy(process, "startup", result);
      if (probed.verdict !== "success") return change({ complaint: complaintOf("startup", probed, result) });
      stopProbes();
      watchLife(process);
    });
  }

  function watchLife(process: ContainerProcess): void {
    const { livenessProbe, readinessProbe } = container;
    change({ started: true, ready: readinessProbe === undefined, complaint: undefined });
    if (livenessProbe !== undefined) {
      watch(process, livenessProbe, false, (probed, result) => {
        if (probed.verdict === "failure") void unhealthy(process, "liveness", result);
      });
    }
    if (readinessProbe !== undefined) {
      watch(process, readinessProbe, true, (probed, result) => {
        const now = probed.verdict === "success";
        const message = complaintOf("readiness", probed, result);
        if (now !== ready || message !== complaint) change({ ready: now, complaint: message });
      });
    }
  }

  async function unhealthy(process: ContainerProcess, which: string, result: CheckResult): Promise<void> {
    stopProbes();
    change({ ready: false, complaint: `${which} probe failed: ${result.message}` });
    await endProcess(process, graceMs);
  }

  function stopProbes(): void {
    for (const stop of probes) stop();
    probes = [];
  }

  async function endProcess(process: ContainerProcess, periodMs: number): Promise<void> {
    const deadline = deps.clock.now() + periodMs;
    const within = <T>(work: Promise<T>) => Promise.race([work, process.exited, sleepUntil(deps.clock, deadline)]);
    await within(preStop(process, periodMs).catch(() => undefined));
    process.signal("SIGTERM");
    await within(process.exited);
    process.kill();
    await process.exited;
  }

  async function preStop(process: ContainerProcess, periodMs: number): Promise<void> {
    const hook = container.lifecycle?.preStop;
    if (hook?.exec !== undefined) await process.exec(hook.exec.command ?? [], periodMs);
    if (hook?.httpGet !== undefined) await httpGet(hook.httpGet, { ip: deps.podIp, container }, periodMs);
    if (hook?.sleep !== undefined) await sleepUntil(deps.clock, deps.clock.now() + hook.sleep.seconds * 1000);
  }

  /** One life: the exit code, or undefined where it could not be started. */
  async function live(attempt: number): Promise<number | undefined> {
    try {
      current = await deps.launch(attempt);
    } catch (thrown) {
      change({ state: { kind: "waiting", reason: reasonOf(thrown), message: messageOf(thrown) } });
      return undefined;
    }
    if (stopping) current.kill();
    const process = current;
    change({ state: { kind: "running", startedAt: deps.clock.now() } });
    if (!stopping) watchStart(process);
    const exit = await process.exited;
    current = undefined;
    stopProbes();
    const exitCode = exit.signal === null ? exit.code : 128 + signalNumber(exit.signal);
    const reason = exitCode === 0 ? "Completed" : "Error";
    change({
      state: { kind: "terminated", reason, exitCode, finishedAt: deps.clock.now() },
      started: false,
      ready: false,
    });
    return exitCode;
  }

  async function run(): Promise<number> {
    let crashes = 0;
    for (let attempt = 0; ; attempt++) {
      const begin = deps.clock.now();
      const exitCode = await live(attempt);
      if (stopping) return exitCode ?? 0;
      if (exitCode !== undefined && (rule === "never" || (rule === "on-failure" && exitCode === 0))) return exitCode;
      if (deps.clock.now() - begin > deps.backOff.resetAfterMs) crashes = 0;
      const delayMs = restartDelayMs(deps.backOff, exitCode === undefined ? crashes + 1 : crashes);
      crashes++;
      if (exitCode !== undefined && delayMs > 0) {
        const message = `exited with ${exitCode}; starting again in ${Math.round(delayMs / 100) / 10} s`;
        change({ state: { kind: "waiting", reason: "CrashLoopBackOff", message } });
      }
      await pause(delayMs);
      if (stopping) return exitCode ?? 0;
      if (exitCode !== undefined) restarts++;
    }
  }

  const finished = run();
  return {
    finished,
    status: () => ({
      name: container.name,
      image: container.image,
      state,
      started,
      ready,
      restarts,
      ...(complaint === undefined ? {} : { complaint }),
    }),
    async stop(periodMs) {
      stopping = true;
      stopProbes();
      wake?.();
      if (current !== undefined) await endProcess(current, periodMs);
      await finished;
    },
  };
}

/** What `launch` rejects with for an image that images.yaml does not know: nothing but an edit can help. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof TrysailError)) return "CreateContainerError";
  if (thrown.code === "not-found") return "ImageNotMapped";
  return thrown.code === "failed-precondition" ? "CreateContainerConfigError" : "CreateContainerError";
}

/** A start takes a moment: a failure is worth words once it has come a few times. */
const WORTH_WORDS = 3;

function complaintOf(which: string, probed: ProbeState, result: CheckResult): string | undefined {
  return result.ok || probed.run < WORTH_WORDS ? undefined : `${which} probe: ${result.message}`;
}

function sleepUntil(clock: Clock, time: number): Promise<void> {
  return new Promise((resolve) => clock.after(Math.max(0, time - clock.now()), resolve));
}

const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

function signalNumber(signal: string): number {
  return SIGNALS[signal] ?? 0;
}

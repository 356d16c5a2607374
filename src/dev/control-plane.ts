import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Clock } from "../platform/clock.ts";
import { type BackOff, restartDelayMs } from "./back-off.ts";

export interface ControlPlaneDeps {
  readonly clock: Clock;
  readonly backOff: BackOff;
  readonly argv: readonly string[];
  readonly logFile: string;
  readonly readyUrl: string;
  /** Behind every start, every end and the first time it is ready after a start. */
  onChange(): void;
}

/** The control plane as a process of its own: it may be killed, and comes back. */
export interface ControlPlane {
  readonly pid: number | undefined;
  readonly restarts: number;
  readonly ready: boolean;
  stop(): Promise<void>;
}

const POLL_MS = 50;
const GRACE_MS = 5_000;

export function startControlPlane(deps: ControlPlaneDeps): ControlPlane {
  const [command = "", ...args] = deps.argv;
  let child: ChildProcess | undefined;
  let restarts = 0;
  let ready = false;
  let stopping = false;
  let failures = 0;
  let ended = Promise.resolve();
  let cancelRestart = (): void => {};

  function start(): void {
    const log = openSync(deps.logFile, "a", 0o600);
    const begin = deps.clock.now();
    const own = spawn(command, args, { stdio: ["ignore", log, log], detached: true });
    closeSync(log);
    child = own;
    ended = new Promise((resolve) => {
      const end = () => {
        ready = false;
        if (child === own) child = undefined;
        resolve();
        if (stopping) return;
        restarts++;
        if (deps.clock.now() - begin > deps.backOff.resetAfterMs) failures = 0;
        cancelRestart = deps.clock.after(restartDelayMs(deps.backOff, failures++), start);
        deps.onChange();
      };
      own.once("exit", end);
      own.once("error", end);
    });
    void awaitReady(own);
    deps.onChange();
  }

  async function awaitReady(own: ChildProcess): Promise<void> {
    while (child === own && !stopping) {
      const answer = await fetch(deps.readyUrl, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
      await answer?.body?.cancel();
      if (child === own && answer?.ok === true) {
        ready = true;
        deps.onChange();
        return;
      }
      await new Promise<void>((resolve) => deps.clock.after(POLL_MS, resolve));
    }
  }

  start();
  return {
    get pid() {
      return child?.pid;
    },
    get restarts() {
      return restarts;
    },
    get ready() {
      return ready;
    },
    async stop() {
      stopping = true;
      cancelRestart();
      const own = child;
      own?.kill("SIGTERM");
      const cancel = deps.clock.after(GRACE_MS, () => void own?.kill("SIGKILL"));
      await ended;
      cancel();
    },
  };
}

import type { Probe } from "./pod.ts";

/** A probe with every default filled in, in milliseconds. */
export interface ProbeTiming {
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** Kubernetes' defaults. */
export function probeTiming(probe: Probe): ProbeTiming {
  return {
    initialDelayMs: (probe.initialDelaySeconds ?? 0) * 1000,
    periodMs: Math.max(1, probe.periodSeconds ?? 10) * 1000,
    timeoutMs: Math.max(1, probe.timeoutSeconds ?? 1) * 1000,
    successThreshold: Math.max(1, probe.successThreshold ?? 1),
    failureThreshold: Math.max(1, probe.failureThreshold ?? 3),
  };
}

/** What a probe says once enough results in a row agree; `unknown` before the first verdict. */
export interface ProbeState {
  readonly verdict: "unknown" | "success" | "failure";
  /** How many results in a row were the same as the last one. */
  readonly run: number;
  readonly lastOk: boolean | undefined;
}

export const initialProbeState: ProbeState = { verdict: "unknown", run: 0, lastOk: undefined };

/** The state behind one more result. The verdict changes only when its threshold is reached. */
export function advanceProbe(state: ProbeState, ok: boolean, timing: ProbeTiming): ProbeState {
  const run = state.lastOk === ok ? state.run + 1 : 1;
  const threshold = ok ? timing.successThreshold : timing.failureThreshold;
  const verdict = run >= threshold ? (ok ? "success" : "failure") : state.verdict;
  return { verdict, run, lastOk: ok };
}

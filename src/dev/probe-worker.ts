import type { Clock } from "../platform/clock.ts";
import type { Probe } from "./pod.ts";
import type { CheckResult } from "./probe-check.ts";
import { advanceProbe, initialProbeState, type ProbeState, probeTiming } from "./probe-state.ts";

export interface ProbeWorkerDeps {
  readonly clock: Clock;
  check(probe: Probe, timeoutMs: number): Promise<CheckResult>;
  /** Behind every result that counts, with the state it led to. */
  onResult(state: ProbeState, result: CheckResult): void;
}

const QUICK_MS = 250;

/**
 * Runs one probe for as long as its container runs: first after the initial delay, then a period after each result.
 * With `quick`, more often until the first success: a start is then seen at once instead of a whole period later, while
 * failures count no faster than a kubelet would count them. Returns the stop.
 */
export function startProbe(deps: ProbeWorkerDeps, probe: Probe, quick: boolean): () => void {
  const timing = probeTiming(probe);
  let state = initialProbeState;
  let stopped = false;
  let hurry = quick;
  let countsAt = deps.clock.now() + timing.initialDelayMs;
  let cancel = deps.clock.after(timing.initialDelayMs, () => void once());

  async function once(): Promise<void> {
    const counts = deps.clock.now() >= countsAt;
    const result = await deps.check(probe, timing.timeoutMs);
    if (stopped) return;
    if (result.ok) hurry = false;
    if (result.ok || counts) {
      countsAt = deps.clock.now() + timing.periodMs;
      state = advanceProbe(state, result.ok, timing);
      deps.onResult(state, result);
    }
    if (stopped) return;
    cancel = deps.clock.after(hurry ? Math.min(QUICK_MS, timing.periodMs) : timing.periodMs, () => void once());
  }

  return () => {
    stopped = true;
    cancel();
  };
}

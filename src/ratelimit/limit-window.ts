import type { RateUnit } from "../mesh/trysail/rate-limit.ts";

/** A stretch of time in which hits count together. */
export interface LimitWindow {
  /** Milliseconds since the Unix epoch. */
  readonly startMs: number;
  readonly endMs: number;
}

const LENGTH_MS: Readonly<Record<Exclude<RateUnit, "MONTH">, number>> = {
  SECOND: 1000,
  MINUTE: 60_000,
  HOUR: 3_600_000,
  DAY: 86_400_000,
};

/** The one that `nowMs` is in. They begin with the whole units of UTC, so that every process has the same ones. */
export function windowAt(unit: RateUnit, nowMs: number): LimitWindow {
  if (unit === "MONTH") {
    const now = new Date(nowMs);
    const [year, month] = [now.getUTCFullYear(), now.getUTCMonth()];
    return { startMs: Date.UTC(year, month), endMs: Date.UTC(year, month + 1) };
  }
  const startMs = nowMs - (nowMs % LENGTH_MS[unit]);
  return { startMs, endMs: startMs + LENGTH_MS[unit] };
}

import { isRecord, joinPath } from "./conform.ts";
import { error, type Problem } from "./problem.ts";

/** Istio's duration fields. */
const FIELDS: ReadonlySet<string> = new Set([
  ...["backoff", "baseEjectionTime", "connectTimeout", "duration", "fixedDelay", "idleTimeout", "interval", "maxAge"],
  ...["maxConnectionDuration", "perTryTimeout", "time", "timeout", "ttl", "warmupDurationSecs"],
]);
/** Those that Envoy refuses to have at zero, and with them the whole route table or cluster. */
const POSITIVE: ReadonlySet<string> = new Set([
  ...["backoff", "baseEjectionTime", "connectTimeout", "duration", "fixedDelay", "interval", "time"],
  "warmupDurationSecs",
]);

const UNIT_HOURS: Readonly<Record<string, number>> = { h: 1, m: 1 / 60, s: 1 / 3600 };
/** What 63 bits of nanoseconds hold, about 292 years: Go's longest duration, so Istio's. */
const LONGEST_HOURS = 2 ** 63 / 3.6e12;
const isDuration = /^([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+$/;

/** Durations that are too long to count, or zero where only more makes sense. */
export function checkDurations(value: unknown, path: string): Problem[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => checkDurations(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, field]) => {
    const fieldPath = joinPath(path, key);
    if (typeof field !== "string") return checkDurations(field, fieldPath);
    if (!FIELDS.has(key) || !isDuration.test(field)) return [];
    if (hoursOf(field) > LONGEST_HOURS) return [error(fieldPath, "is more than 292 years: write a shorter duration")];
    if (!POSITIVE.has(key) || /[1-9]/.test(field)) return [];
    return [error(fieldPath, "must be more than zero: leave it out for the default")];
  });
}

function hoursOf(text: string): number {
  let hours = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(h|ms|m|s|us|ns)/g)) {
    hours += Number(amount) * (UNIT_HOURS[unit ?? ""] ?? 0);
  }
  return hours;
}

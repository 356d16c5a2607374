import { isRecord, joinPath } from "./conform.ts";
import { error, type Problem, refusal } from "./problem.ts";

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

const UNIT_HOURS: Readonly<Record<string, number>> = {
  ...{ h: 1, m: 1 / 60, s: 1 / 3600 },
  ...{ ms: 1 / 3.6e6, us: 1 / 3.6e9, ns: 1 / 3.6e12 },
};
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
    if (!/[1-9]/.test(field)) {
      if (path.endsWith(".http2KeepAlive")) return [error(fieldPath, "must be more than zero")];
      if (POSITIVE.has(key)) return [error(fieldPath, "must be more than zero: leave it out for the default")];
    }
    return refuseFractions(key, field, fieldPath);
  });
}

const MILLISECOND = 1_000_000n;

/** Istio's rule, from which it exempts a cookie's life, a warmup's older form, and connections that may be idle without end. */
function refuseFractions(key: string, text: string, path: string): Problem[] {
  const nanoseconds = nanosecondsOf(text);
  if (nanoseconds >= MILLISECOND && nanoseconds % MILLISECOND === 0n) return [];
  if (nanoseconds < MILLISECOND ? path.endsWith(".tcp.idleTimeout") : key === "warmupDurationSecs") return [];
  if (key === "ttl") return [];
  return [refusal(path, `is ${text}, and Istio takes whole milliseconds alone, one at least: leave it out for none`)];
}

const UNIT_NANOSECONDS: Readonly<Record<string, bigint>> = {
  h: 3_600_000_000_000n,
  m: 60_000_000_000n,
  s: 1_000_000_000n,
  ms: MILLISECOND,
  us: 1000n,
};

/** Of a duration that is not too long; fractions below a nanosecond are left out, as Go does. */
function nanosecondsOf(text: string): bigint {
  let sum = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of text.matchAll(/0*([0-9]+)\.?([0-9]*)(h|ms|m|s|us|ns)/g)) {
    const digits = fraction.slice(0, MOST_DIGITS);
    sum += (BigInt(whole + digits) * (UNIT_NANOSECONDS[unit] ?? 1n)) / 10n ** BigInt(digits.length);
  }
  return sum;
}

/** An hour's nanoseconds have thirteen. */
const MOST_DIGITS = 15;

function hoursOf(text: string): number {
  let hours = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(h|ms|m|s|us|ns)/g)) {
    hours += Number(amount) * (UNIT_HOURS[unit ?? ""] ?? 0);
  }
  return hours;
}

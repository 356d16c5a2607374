const SECONDS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9 };

/** A Go duration (`1m30s`), whose form has been checked, in whole seconds; what is not zero stays at least one. */
export function durationSeconds(text: string): number {
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(h|ms|m|s|us|ns)/g)) {
    seconds += Number(amount) * (SECONDS[unit ?? ""] ?? 0);
  }
  return seconds === 0 ? 0 : Math.min(Math.max(Math.round(seconds), 1), 2_147_483_647);
}

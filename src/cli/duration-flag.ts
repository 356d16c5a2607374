import { InvalidArgumentError, Option } from "commander";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds from a flag such as `500ms`, `90s`, `30m`, `12h`, `1h30m` or `7d`. */
export function parseDurationFlag(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== text) {
    throw new InvalidArgumentError("a duration looks like 90s, 30m, 12h or 1h30m.");
  }
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (UNIT_MS[unit ?? ""] ?? 0), 0);
}

/** An option that takes a duration; help shows the default as it is written here. */
export function durationOption(flags: string, description: string, defaultText: string): Option {
  return new Option(flags, description)
    .argParser(parseDurationFlag)
    .default(parseDurationFlag(defaultText), defaultText);
}

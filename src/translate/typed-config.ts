import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { type Any, anyPack, type Duration, DurationSchema } from "@bufbuild/protobuf/wkt";

/** A message packed as Envoy wants its extensions. */
export function typedConfig<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Any {
  return anyPack(schema, create(schema, init));
}

export function durationOfMs(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) });
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, ns: 1e-6 };

/** About 285 years: what Envoy's clock can count. */
const LONGEST_MS = 9e12;

/**
 * A Go duration (`1m30s`) in whole milliseconds, which is what Envoy counts in; the schema has checked its form. What is
 * not zero stays at least one, since zero means no limit.
 */
export function parseDurationMs(text: string): number {
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(h|ms|m|s|us|ns)/g))
    ms += Number(amount) * (UNIT_MS[unit ?? ""] ?? 0);
  return ms === 0 ? 0 : Math.min(Math.max(Math.round(ms), 1), LONGEST_MS);
}

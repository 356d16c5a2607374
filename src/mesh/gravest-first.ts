import type { Finding, FindingCode } from "./finding.ts";

/** The first are those that keep an object from being used, then those that keep it from being written. */
export function gravestFirst<T extends Pick<Finding, "severity">>(
  found: readonly T[],
  codeOf: (one: T) => FindingCode,
): T[] {
  const ranks: T[][] = [[], [], []];
  for (const one of found) ranks[one.severity === "error" ? 0 : codeOf(one) === "value-refused" ? 1 : 2]?.push(one);
  return ranks.flat();
}

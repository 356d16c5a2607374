import type { StringMatch } from "./istio/fields.ts";

/** A condition on text, out of a field that may also be `{}`, which asks only that it is there: undefined. */
export function asStringMatch(match: unknown): StringMatch | undefined {
  if (typeof match !== "object" || match === null) return undefined;
  if ("exact" in match && typeof match.exact === "string") return { exact: match.exact };
  if ("prefix" in match && typeof match.prefix === "string") return { prefix: match.prefix };
  if ("regex" in match && typeof match.regex === "string") return { regex: match.regex };
  return undefined;
}

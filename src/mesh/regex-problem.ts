import { RE2JS } from "re2js";
import { messageOf } from "../platform/errors.ts";

/** What is wrong with a user's regular expression for RE2, which is what Envoy runs; null where nothing is. */
export function regexProblem(pattern: string): string | null {
  if (pattern === "") return "is empty: leave it out, or match empty text with exact";
  try {
    RE2JS.compile(pattern);
    return null;
  } catch (thrown) {
    return `is not a regular expression in RE2's syntax (${messageOf(thrown)}): see https://github.com/google/re2/wiki/Syntax`;
  }
}

/** What is wrong with a text to put in the place of what `pattern`, a right one, matches; null where nothing is. */
export function substitutionProblem(pattern: string, substitution: string): string | null {
  const groups = RE2JS.compile(pattern).groupCount();
  for (const [whole, digit] of substitution.matchAll(/\\(.?)/gs)) {
    if (digit === "\\") continue;
    if (digit === undefined || !/^[0-9]$/.test(digit))
      return `has ${whole}, which is no group: write \\\\ for a backslash`;
    if (Number(digit) > groups) return `has ${whole}, but the expression has ${groups} groups`;
  }
  return null;
}

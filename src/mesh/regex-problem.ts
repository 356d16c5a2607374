import { RE2JS } from "re2js";
import { messageOf } from "../platform/errors.ts";
import { MAX_REGEX_SIZE, regexSize } from "./regex-size.ts";

/** What is wrong with a user's regular expression for RE2, which is what Envoy runs; null where nothing is. */
export function regexProblem(pattern: string): string | null {
  if (pattern === "") return "is empty: leave it out, or match empty text with exact";
  if (regexSize(pattern) > MAX_REGEX_SIZE) {
    return "is too large for Envoy, which writes out what is repeated: repeat less often, or smaller parts";
  }
  try {
    RE2JS.compile(pattern);
    return null;
  } catch (thrown) {
    return `is not a regular expression in RE2's syntax (${messageOf(thrown)}): see https://github.com/google/re2/wiki/Syntax`;
  }
}

/** Some tenths of a second's work, and thousands of expressions as people write them. */
const MAX_TOTAL_SIZE = 2 * MAX_REGEX_SIZE;

/**
 * What is wrong with an object's regular expressions taken together: each is compiled to be checked, and whoever may
 * write an object must not keep the control plane from its work by that. Null where nothing is.
 */
export function regexesProblem(patterns: readonly string[]): string | null {
  let total = 0;
  for (const pattern of patterns) {
    const size = regexSize(pattern);
    // What is too large by itself is told so, and not compiled.
    if (size <= MAX_REGEX_SIZE) total += size;
  }
  if (total <= MAX_TOTAL_SIZE) return null;
  return "has more regular expressions than can be checked: use exact or prefix, simpler ones, or several objects";
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

import { isDeepStrictEqual } from "node:util";
import { isRecord } from "./conform.ts";
import type { StringMatch } from "./istio/fields.ts";
import type { HttpMatch, HttpRoute } from "./istio/http-route.ts";
import { type Problem, warning } from "./problem.ts";
import { asStringMatch } from "./string-match.ts";

/** Far beyond what people write, and no more than a moment's work. */
const MAX_COMPARISONS = 100_000;

/**
 * Routes and conditions that no request can reach, because an earlier one takes all they match: the first match wins.
 * Says nothing where it is not sure, as with regular expressions that differ.
 */
export function checkRouteOrder(routes: readonly HttpRoute[], path: string): Problem[] {
  const problems: Problem[] = [];
  const earlier: { readonly match: HttpMatch; readonly path: string }[] = [];
  let catchAll: string | undefined;
  let comparisons = 0;
  for (const [index, { match: matches = [] }] of routes.entries()) {
    const here = `${path}[${index}]`;
    if (catchAll !== undefined) {
      problems.push(warning(here, `is never reached: ${catchAll} matches every request, so move it to the end`));
      continue;
    }
    for (const [at, match] of matches.entries()) {
      comparisons += earlier.length;
      if (comparisons > MAX_COMPARISONS) return problems;
      const condition = `${here}.match[${at}]`;
      const covering = earlier.find((candidate) => covers(candidate.match, match));
      if (covering !== undefined) {
        problems.push(
          warning(condition, `is never reached: ${covering.path} comes first and matches all that it does`),
        );
      }
      earlier.push({ match, path: condition });
    }
    if (matches.length === 0 || matches.some(matchesAll)) catchAll = here;
  }
  return problems;
}

function matchesAll(match: HttpMatch): boolean {
  return covers(match, {});
}

/** What names a condition and asks for nothing. */
const LABELS: ReadonlySet<string> = new Set(["name", "ignoreUriCase", "statPrefix"]);

/** Whether every request that `narrow` matches is one that `wide` matches too. */
function covers(wide: HttpMatch, narrow: HttpMatch): boolean {
  // Cases that are ignored in one only would need a comparison of their own.
  if ((wide.ignoreUriCase ?? false) !== (narrow.ignoreUriCase ?? false)) return false;
  return Object.entries(wide).every(
    ([field, asked]) => LABELS.has(field) || fieldCovers(field, asked, Reflect.get(narrow, field)),
  );
}

function fieldCovers(field: string, wide: unknown, narrow: unknown): boolean {
  switch (field) {
    case "uri":
    case "scheme":
    case "method":
    case "authority":
      return textCovers(asStringMatch(wide), asStringMatch(narrow), field === "uri");
    case "headers":
    case "withoutHeaders":
    case "queryParams":
    case "sourceLabels":
      return namedCovers(asRecord(wide), asRecord(narrow));
    default:
      return isSameList(wide, narrow);
  }
}

/** Or the same text or number: what these fields have, by a hundred thousand comparisons of which few are of equals. */
function isSameList(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((item, at) => item === b[at]);
}

/** More of them ask for more: each that is asked for must be asked for in the other as well. */
function namedCovers(wide: Record<string, unknown>, narrow: Record<string, unknown>): boolean {
  return Object.entries(wide).every(
    ([name, asked]) => Object.hasOwn(narrow, name) && isDeepStrictEqual(asked, narrow[name]),
  );
}

function asRecord(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function textCovers(wide: StringMatch | undefined, narrow: StringMatch | undefined, isPath: boolean): boolean {
  if (wide === undefined) return false;
  if (isPath && "prefix" in wide && wide.prefix === "/") return true;
  if (narrow === undefined) return false;
  if ("prefix" in wide && "prefix" in narrow) return narrow.prefix.startsWith(wide.prefix);
  if ("prefix" in wide && "exact" in narrow) return narrow.exact.startsWith(wide.prefix);
  if ("exact" in wide) return "exact" in narrow && narrow.exact === wide.exact;
  return "regex" in wide && "regex" in narrow && narrow.regex === wide.regex;
}

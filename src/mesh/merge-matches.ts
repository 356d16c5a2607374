import { isDeepStrictEqual } from "node:util";
import type { StringMatch } from "./istio/fields.ts";
import type { HttpMatch } from "./istio/http-route.ts";
import { asStringMatch } from "./string-match.ts";

/**
 * The conditions of a route that another delegates to, each under each of the other's: an empty list matches all. Null
 * where one of them holds under none of the other's: then the route is not taken at all
 * (https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate).
 */
export function mergeMatches(root: readonly HttpMatch[], leaf: readonly HttpMatch[]): HttpMatch[] | null {
  if (root.length === 0 || leaf.length === 0) return [...root, ...leaf];
  const merged = leaf.map((inner) => root.flatMap((outer) => mergeMatch(outer, inner) ?? []));
  return merged.some((held) => held.length === 0) ? null : merged.flat();
}

/** Both conditions at once; null where the inner one asks for anything that the outer one rules out. */
function mergeMatch(outer: HttpMatch, inner: HttpMatch): HttpMatch | null {
  if (TEXTS.some((field) => !isWithin(asStringMatch(outer[field]), asStringMatch(inner[field])))) return null;
  if ((outer.ignoreUriCase ?? false) !== (inner.ignoreUriCase ?? false)) return null;
  if (differ(outer.port, inner.port) || differ(outer.sourceNamespace, inner.sourceNamespace)) return null;
  const gateways = outer.gateways ?? [];
  if (gateways.length > 0 && (inner.gateways ?? []).some((gateway) => !gateways.includes(gateway))) return null;
  const headers = mergeNamed(outer.headers, inner.headers, bothHold);
  const queryParams = mergeNamed(outer.queryParams, inner.queryParams, bothHold);
  const withoutHeaders = mergeNamed(outer.withoutHeaders, inner.withoutHeaders, neitherHolds);
  const sourceLabels = mergeNamed(outer.sourceLabels, inner.sourceLabels, (a, b) => (a === b ? a : null));
  if (headers === null || queryParams === null || withoutHeaders === null || sourceLabels === null) return null;
  const name = [outer.name, inner.name].filter((part) => part !== undefined && part !== "").join("-");
  return {
    ...outer,
    ...withoutAnything(inner),
    ...(name === "" ? {} : { name }),
    ...(headers === undefined ? {} : { headers }),
    ...(queryParams === undefined ? {} : { queryParams }),
    ...(withoutHeaders === undefined ? {} : { withoutHeaders }),
    ...(sourceLabels === undefined ? {} : { sourceLabels }),
  };
}

const TEXTS = ["uri", "scheme", "method", "authority"] as const;

/** `{}` takes any text, so it must not stand in the way of what the other asks. */
function withoutAnything(match: HttpMatch): HttpMatch {
  const idle = TEXTS.filter((field) => asStringMatch(match[field]) === undefined);
  return Object.fromEntries(Object.entries(match).filter(([field]) => !idle.some((name) => name === field)));
}

function differ<T>(a: T | undefined, b: T | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

/** Whether all that the inner match takes is taken by the outer one. Of two regular expressions nobody can tell. */
function isWithin(outer: StringMatch | undefined, inner: StringMatch | undefined): boolean {
  if (outer === undefined || inner === undefined || isDeepStrictEqual(outer, inner)) return true;
  if (!("prefix" in outer) || "regex" in inner) return false;
  return ("exact" in inner ? inner.exact : inner.prefix).startsWith(outer.prefix);
}

/** What both say of each name, by `merge`; null where that is null for any. */
function mergeNamed<V>(
  outer: Readonly<Record<string, V>> | undefined,
  inner: Readonly<Record<string, V>> | undefined,
  merge: (outer: V, inner: V) => V | null,
): Record<string, V> | null | undefined {
  if (outer === undefined || inner === undefined) return outer ?? inner;
  const merged = new Map(Object.entries(outer));
  for (const [name, wanted] of Object.entries(inner)) {
    const known = merged.get(name);
    const both = known === undefined ? wanted : merge(known, wanted);
    if (both === null) return null;
    merged.set(name, both);
  }
  return Object.fromEntries(merged);
}

/** Of two conditions on a value the narrower; `{}` takes any value. */
function bothHold<V>(outer: V, inner: V): V | null {
  const [wide, narrow] = [asStringMatch(outer), asStringMatch(inner)];
  if (narrow === undefined) return outer;
  return isWithin(wide, narrow) ? inner : null;
}

/** Of two values that must not be the one that rules out more: `{}` rules out any. */
function neitherHolds<V>(outer: V, inner: V): V | null {
  const [first, second] = [asStringMatch(outer), asStringMatch(inner)];
  if (first === undefined) return outer;
  if (second === undefined) return inner;
  return isDeepStrictEqual(first, second) ? outer : null;
}

import { create } from "@bufbuild/protobuf";
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
  type RouteMatch,
  RouteMatchSchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import type { StringMatcher } from "../../gen/envoy/type/matcher/v3/string_pb.ts";
import type { StringMatch } from "../../mesh/istio/fields.ts";
import type { HttpMatch } from "../../mesh/istio/http-route.ts";
import { compareText } from "../../mesh/object.ts";
import { regexMatcher, stringMatcher } from "./string-matcher.ts";

/** What a VirtualService's `match` asks of a request, in Envoy's terms; null matches every request. */
export function buildRouteMatch(match: HttpMatch | null): RouteMatch {
  return create(RouteMatchSchema, {
    pathSpecifier: pathSpecifier(match?.uri),
    ...(match?.ignoreUriCase === true ? { caseSensitive: false } : {}),
    headers: match === null ? [] : headerMatchers(match),
    queryParameters: Object.entries(match?.queryParams ?? {})
      .sort(([a], [b]) => compareText(a, b))
      .map(([name, want]) => queryMatcher(name, want)),
  });
}

function pathSpecifier(uri: HttpMatch["uri"] = {}): RouteMatch["pathSpecifier"] {
  if ("exact" in uri) return { case: "path", value: uri.exact };
  if ("prefix" in uri) return { case: "prefix", value: uri.prefix };
  if ("regex" in uri) return { case: "safeRegex", value: regexMatcher(uri.regex) };
  return { case: "prefix", value: "/" };
}

function headerMatchers(match: HttpMatch): HeaderMatcher[] {
  const pseudo = { ":method": match.method, ":authority": match.authority, ":scheme": match.scheme };
  return [
    ...headersInOrder(pseudo).map(([name, want]) => headerMatcher(name, want, false)),
    ...headersInOrder(match.headers ?? {}).map(([name, want]) => headerMatcher(name, want, false)),
    ...headersInOrder(match.withoutHeaders ?? {}).map(([name, want]) => headerMatcher(name, want, true)),
  ];
}

/** An object without any of the patterns asks only that the header is there. */
type HeaderWant = StringMatch | Record<never, never>;
type HeaderWants = Readonly<Record<string, HeaderWant | undefined>>;

function headersInOrder(wanted: HeaderWants): [string, HeaderWant][] {
  return Object.entries(wanted)
    .filter((entry): entry is [string, HeaderWant] => entry[1] !== undefined)
    .sort(([a], [b]) => compareText(a, b));
}

function headerMatcher(name: string, want: HeaderWant, invertMatch: boolean): HeaderMatcher {
  const matcher = valueMatcher(want);
  return create(HeaderMatcherSchema, {
    name,
    invertMatch,
    // An absent header counts as not matching, so that `withoutHeaders` holds for it.
    ...(invertMatch && matcher !== null ? { treatMissingHeaderAsEmpty: true } : {}),
    headerMatchSpecifier:
      matcher === null ? { case: "presentMatch", value: true } : { case: "stringMatch", value: matcher },
  });
}

function queryMatcher(name: string, want: HeaderWant): QueryParameterMatcher {
  const matcher = valueMatcher(want);
  return create(QueryParameterMatcherSchema, {
    name,
    queryParameterMatchSpecifier:
      matcher === null ? { case: "presentMatch", value: true } : { case: "stringMatch", value: matcher },
  });
}

/** Null where only presence is asked for, as an empty prefix does, and a star, which is no regular expression. */
function valueMatcher(want: HeaderWant): StringMatcher | null {
  if ("regex" in want && want.regex === "*") return null;
  if ("exact" in want || "regex" in want) return stringMatcher(want);
  return "prefix" in want && want.prefix !== "" ? stringMatcher(want) : null;
}

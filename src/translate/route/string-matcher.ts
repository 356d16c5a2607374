import { create } from "@bufbuild/protobuf";
import { type RegexMatcher, RegexMatcherSchema } from "../../gen/envoy/type/matcher/v3/regex_pb.ts";
import { type StringMatcher, StringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.ts";
import type { StringMatch } from "../../mesh/istio/fields.ts";

export function stringMatcher(want: StringMatch): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: matchPattern(want) });
}

function matchPattern(want: StringMatch): StringMatcher["matchPattern"] {
  if ("exact" in want) return { case: "exact", value: want.exact };
  if ("regex" in want) return { case: "safeRegex", value: regexMatcher(want.regex) };
  // Envoy refuses an empty prefix, which any text has.
  if (want.prefix === "") return { case: "safeRegex", value: regexMatcher(".*") };
  return { case: "prefix", value: want.prefix };
}

export function regexMatcher(regex: string): RegexMatcher {
  return create(RegexMatcherSchema, { regex });
}

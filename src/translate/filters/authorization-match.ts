import { create } from "@bufbuild/protobuf";
import { type CidrRange, CidrRangeSchema } from "../../gen/envoy/config/core/v3/address_pb.ts";
import { type HeaderMatcher, HeaderMatcherSchema } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { type StringMatcher, StringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.ts";
import { escapeRegex } from "../../platform/escape-regex.ts";
import { ipVersion } from "../../platform/ip-version.ts";

/**
 * The patterns of an AuthorizationPolicy: whole values, `prefix*`, `*suffix`, and `*` for any value at all.
 * https://istio.io/latest/docs/reference/config/security/authorization-policy/#Source
 */
export function valueMatcher(
  pattern: string,
  options: { valuePrefix?: string; ignoreCase?: boolean } = {},
): StringMatcher {
  const { valuePrefix = "", ignoreCase = false } = options;
  if (pattern === "*") return regexMatcher(".+");
  if (pattern.endsWith("*")) {
    return create(StringMatcherSchema, {
      matchPattern: { case: "prefix", value: valuePrefix + pattern.slice(0, -1) },
      ignoreCase,
    });
  }
  if (pattern.startsWith("*")) {
    return create(StringMatcherSchema, { matchPattern: { case: "suffix", value: pattern.slice(1) }, ignoreCase });
  }
  return create(StringMatcherSchema, { matchPattern: { case: "exact", value: valuePrefix + pattern }, ignoreCase });
}

export function headerMatcher(name: string, pattern: string, ignoreCase = false): HeaderMatcher {
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier:
      pattern === "*"
        ? { case: "presentMatch", value: true }
        : { case: "stringMatch", value: valueMatcher(pattern, { ignoreCase }) },
  });
}

/** A SPIFFE id whose namespace is `pattern` (which may have a `*` at either end), in any trust domain. */
export function namespaceMatcher(pattern: string): StringMatcher {
  const name = pattern.split("*").map(escapeRegex).join("[^/]*");
  return regexMatcher(`spiffe://[^/]+/ns/${name}/sa/[^/]+`);
}

export function regexMatcher(regex: string): StringMatcher {
  return create(StringMatcherSchema, { matchPattern: { case: "safeRegex", value: { regex } } });
}

/** An address or CIDR block; null where it is neither. */
export function parseCidr(text: string): CidrRange | null {
  const [ip = "", bits, ...rest] = text.split("/");
  const version = ipVersion(ip);
  if (version === null || rest.length > 0) return null;
  const max = version === 4 ? 32 : 128;
  if (bits !== undefined && !/^[0-9]{1,3}$/.test(bits)) return null;
  const prefixLen = bits === undefined ? max : Number(bits);
  if (prefixLen > max) return null;
  return create(CidrRangeSchema, { addressPrefix: ip, prefixLen });
}

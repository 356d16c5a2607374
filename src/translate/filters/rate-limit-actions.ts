import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type RateLimit_Action,
  RateLimit_ActionSchema,
  type RateLimit as RateLimitActions,
  RateLimitSchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { RateLimitDescriptor_EntrySchema } from "../../gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts";
import { DescriptorSchema } from "../../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.ts";
import type { CountedBy, RequestLimit, RequestMatch } from "../../mesh/trysail/rate-limit.ts";
import { escapeRegex } from "../../platform/escape-regex.ts";
import { regexMatcher, stringMatcher } from "../route/string-matcher.ts";
import { typedConfig } from "../typed-config.ts";

/** What a request has instead of a value that it lacks: those without one are counted together, not let through. */
const ABSENT = "-";
/**
 * Nor of one that is longer than this, in characters: nobody may fill the proxy's memory with values, or make a question
 * so large that the service does not take it. As long as a token may be.
 */
const LONGEST_VALUE = 4096;
const TOO_LONG = "too long";

/** Where the filter that verifies tokens leaves their claims, under the name that Istio gives them. */
const JWT_FILTER = "envoy.filters.http.jwt_authn";
const JWT_PAYLOAD = "payload";

/** The entries of a limit's descriptor, as Envoy makes them of each request. Without a match there is no descriptor. */
export function requestActions(limit: RequestLimit, first: readonly RateLimit_Action[] = []): RateLimitActions {
  const { match, by = [] } = limit;
  return create(RateLimitSchema, {
    actions: [...first, ...(match === undefined ? [] : [matchAction(match)]), ...by.map(countedByAction)],
  });
}

/** The same entries for a filter that knows its counts itself: a value left empty stands for each one. */
export function expectedEntries({ match, by = [] }: RequestLimit) {
  const entry = (key: string, value: string) => create(RateLimitDescriptor_EntrySchema, { key, value });
  return [
    ...(match === undefined ? [] : [entry("match", "yes")]),
    ...by.map((counted) => entry(keyOf(counted), "constant" in counted ? counted.constant : "")),
  ];
}

/** The first entry of what is counted outside of the proxy. */
export function limitName(name: string): RateLimit_Action {
  return action({ case: "genericKey", value: { descriptorKey: "limit", descriptorValue: name } });
}

type ActionSpecifier = MessageInitShape<typeof RateLimit_ActionSchema>["actionSpecifier"];

function action(actionSpecifier: ActionSpecifier): RateLimit_Action {
  return create(RateLimit_ActionSchema, { actionSpecifier });
}

function keyOf(counted: CountedBy): string {
  if ("header" in counted) return `header:${counted.header.toLowerCase()}`;
  if ("claim" in counted) return `claim:${counted.claim}`;
  if ("constant" in counted) return "constant";
  // Envoy names this one itself.
  return counted.attribute === "REMOTE_ADDRESS" ? "remote_address" : counted.attribute.toLowerCase();
}

function countedByAction(counted: CountedBy): RateLimit_Action {
  const key = keyOf(counted);
  if ("header" in counted) {
    const name = counted.header.toLowerCase();
    return expression(key, `"${name}" in request.headers ? ${bounded(`request.headers["${name}"]`)} : "${ABSENT}"`);
  }
  if ("claim" in counted) return claimAction(key, counted.claim);
  if ("constant" in counted) {
    return action({ case: "genericKey", value: { descriptorKey: key, descriptorValue: counted.constant } });
  }
  switch (counted.attribute) {
    case "IDENTITY":
      return expression(key, `connection.mtls ? connection.uri_san_peer_certificate : "${ABSENT}"`);
    case "METHOD":
      return expression(key, "request.method");
    case "PATH":
      return expression(key, bounded("request.url_path"));
    case "REMOTE_ADDRESS":
      return action({ case: "remoteAddress", value: {} });
  }
}

/** A value in Envoy's CEL: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes */
function expression(descriptorKey: string, text: string): RateLimit_Action {
  const config = typedConfig(DescriptorSchema, { descriptorKey, exprSpecifier: { case: "text", value: text } });
  return action({ case: "extension", value: { name: "envoy.rate_limit_descriptors.expr", typedConfig: config } });
}

function bounded(text: string): string {
  return `(size(${text}) > ${LONGEST_VALUE} ? "${TOO_LONG}" : ${text})`;
}

function claimAction(descriptorKey: string, claim: string): RateLimit_Action {
  const path = [JWT_PAYLOAD, claim].map((key) => ({ segment: { case: "key" as const, value: key } }));
  return action({
    case: "metadata",
    value: { descriptorKey, metadataKey: { key: JWT_FILTER, path }, defaultValue: ABSENT },
  });
}

function matchAction({ methods = [], paths = [], headers = {} }: RequestMatch): RateLimit_Action {
  const matchers: HeaderMatcher[] = [];
  if (methods.length > 0) matchers.push(oneOf(":method", methods.map(escapeRegex)));
  if (paths.length > 0) matchers.push(oneOf(":path", paths.map(pathRegex)));
  for (const [name, want] of Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1))) {
    matchers.push(
      create(HeaderMatcherSchema, {
        name: name.toLowerCase(),
        headerMatchSpecifier: { case: "stringMatch", value: stringMatcher(want) },
      }),
    );
  }
  // Without a condition, every request has a method.
  if (matchers.length === 0) matchers.push(oneOf(":method", [".*"]));
  return action({
    case: "headerValueMatch",
    value: { descriptorKey: "match", descriptorValue: "yes", headers: matchers },
  });
}

function oneOf(name: string, regexes: readonly string[]): HeaderMatcher {
  const safeRegex = regexMatcher(regexes.join("|"));
  return create(HeaderMatcherSchema, {
    name,
    headerMatchSpecifier: {
      case: "stringMatch",
      value: { matchPattern: { case: "safeRegex", value: safeRegex } },
    },
  });
}

/** The pattern of a path, as in an AuthorizationPolicy, with whatever query behind it. */
function pathRegex(pattern: string): string {
  const query = "(\\?.*)?";
  if (pattern === "*") return ".*";
  if (pattern.endsWith("*")) return `${escapeRegex(pattern.slice(0, -1))}.*`;
  return pattern.startsWith("*") ? `[^?]*${escapeRegex(pattern.slice(1))}${query}` : `${escapeRegex(pattern)}${query}`;
}

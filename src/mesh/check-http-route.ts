import { append } from "../platform/append.ts";
import { checkGatewayNames } from "./check-gateway-names.ts";
import { checkHeaderOperations, isHeaderName } from "./check-header-operations.ts";
import { checkHttpPolicies } from "./check-http-policies.ts";
import { checkLabels } from "./check-labels.ts";
import { checkWeights } from "./check-weights.ts";
import { isRecord, joinPath } from "./conform.ts";
import type { HttpDirectResponse, HttpMatch, HttpRedirect, HttpRewrite, HttpRoute } from "./istio/http-route.ts";
import { error, type Problem } from "./problem.ts";
import { someField } from "./some-field.ts";

/**
 * What Istio refuses of a VirtualService's HTTP route, and what Envoy would. Envoy refuses the whole route table of a
 * port, with the routes of every other service, so that none of it may get that far.
 */
export function checkHttpRoute(route: HttpRoute, path: string): Problem[] {
  const destinations = route.route ?? [];
  const problems = [
    ...checkAction(route, path),
    ...checkLineBreaks(route, path),
    ...checkHeaderOperations(route.headers, `${path}.headers`),
    ...destinations.flatMap(({ headers }, index) => checkHeaderOperations(headers, `${path}.route[${index}].headers`)),
  ];
  for (const [index, match] of (route.match ?? []).entries()) {
    append(problems, checkMatch(match, `${path}.match[${index}]`));
  }
  if (route.redirect !== undefined) append(problems, checkRedirect(route, route.redirect, `${path}.redirect`));
  if (route.rewrite !== undefined) append(problems, checkRewrite(route.rewrite, `${path}.rewrite`));
  const body = route.directResponse?.body;
  if (body !== undefined && bytesOf(body) > MOST_BODY_BYTES) {
    problems.push(error(`${path}.directResponse.body`, "is of more than 1 MiB, which is the most: serve it elsewhere"));
  }
  return [...problems, ...checkHttpPolicies(route, path), ...checkWeights(destinations, `${path}.route`)];
}

/** What proxies are told to allow: `maxDirectResponseBodySizeBytes`. */
export const MOST_BODY_BYTES = 1024 * 1024;

function bytesOf(body: NonNullable<HttpDirectResponse["body"]>): number {
  return "string" in body ? Buffer.byteLength(body.string) : Buffer.byteLength(body.bytes, "base64");
}

/** Each route does one thing with a request. */
function checkAction(route: HttpRoute, path: string): Problem[] {
  const actions = [
    ...((route.route?.length ?? 0) > 0 ? ["route"] : []),
    ...(["redirect", "directResponse", "delegate"] as const).filter((action) => route[action] !== undefined),
  ];
  const [first, second] = actions;
  const problems: Problem[] = [];
  if (first === undefined) {
    const ways = "a route with at least one destination, a redirect, a directResponse or a delegate";
    problems.push(error(path, `says nowhere to go: give it ${ways}`));
  }
  if (second !== undefined) problems.push(error(path, `has both a ${first} and a ${second}: keep one of them`));
  const isAnswered = route.redirect !== undefined || route.directResponse !== undefined;
  for (const policy of ["rewrite", "fault"] as const) {
    if (isAnswered && route[policy] !== undefined) {
      problems.push(error(path, `has both a ${first} and a ${policy}: keep one of them`));
    }
  }
  if (route.delegate !== undefined && (route.delegate.name ?? "") === "") {
    problems.push(error(`${path}.delegate.name`, "is missing: name the VirtualService to delegate to"));
  }
  return problems;
}

function checkMatch(match: HttpMatch, path: string): Problem[] {
  const { headers, withoutHeaders, queryParams, sourceLabels, gateways } = match;
  const names = (wanted: object | undefined, field: string) =>
    Object.keys(wanted ?? {}).flatMap((name) =>
      isHeaderName(name.replace(/^:/, "")) ? [] : [error(joinPath(`${path}.${field}`, name), "is not a header's name")],
    );
  return [
    ...names(headers, "headers"),
    ...names(withoutHeaders, "withoutHeaders"),
    ...checkLabels(sourceLabels, `${path}.sourceLabels`),
    ...checkGatewayNames(gateways, `${path}.gateways`),
    ...Object.keys(queryParams ?? {}).flatMap((name) =>
      name.length > 0 && Buffer.byteLength(name) <= 1024
        ? []
        : [error(joinPath(`${path}.queryParams`, name), "must have a name of 1 to 1024 bytes")],
    ),
  ];
}

function checkRedirect({ match }: HttpRoute, redirect: HttpRedirect, path: string): Problem[] {
  const { uri = "", prefixRewrite = "", authority, scheme, port, derivePort } = redirect;
  if (uri !== "" && prefixRewrite !== "") {
    return [error(path, "has both a uri and a prefixRewrite: keep one of them")];
  }
  if (prefixRewrite !== "" && match?.some((condition) => condition.uri && !("prefix" in condition.uri))) {
    return [error(`${path}.prefixRewrite`, "takes the place of a prefix, so each uri of its match must be one")];
  }
  if (port !== undefined && derivePort !== undefined) {
    return [error(path, "has both a port and a derivePort: keep one of them")];
  }
  if ([uri, prefixRewrite, authority, scheme].some((text) => text !== undefined && text !== "")) return [];
  if (port !== undefined || derivePort !== undefined) return [];
  return [error(path, "says nothing: give it a uri, prefixRewrite, authority, scheme or port")];
}

function checkRewrite({ uri = "", authority = "", uriRegexRewrite }: HttpRewrite, path: string): Problem[] {
  if (uri !== "" && uriRegexRewrite !== undefined) {
    return [error(path, "has both a uri and a uriRegexRewrite: keep one of them")];
  }
  if (uri === "" && authority === "" && uriRegexRewrite === undefined) {
    return [error(path, "says nothing: give it a uri, uriRegexRewrite or authority")];
  }
  return [];
}

function checkLineBreaks(value: unknown, path: string): Problem[] {
  return someField(value, (_key, field) => hasLineBreak(field)) ? lineBreaksIn(value, path) : [];
}

function hasLineBreak(value: unknown): boolean {
  return typeof value === "string" && /[\0\r\n]/.test(value);
}

function lineBreaksIn(value: unknown, path: string): Problem[] {
  if (typeof value === "string") {
    return hasLineBreak(value) ? [error(path, "holds a line break: remove it")] : [];
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => lineBreaksIn(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  // The body of an answer is no header, and may have as many lines as it likes.
  return Object.entries(value).flatMap(([key, field]) =>
    key === "body" ? [] : lineBreaksIn(field, joinPath(path, key)),
  );
}

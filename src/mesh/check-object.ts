import { RE2JS } from "re2js";
import { messageOf } from "../platform/errors.ts";
import { checkAuthorizationPolicy, isPort } from "./check-authorization-policy.ts";
import { checkDestinationRule } from "./check-destination-rule.ts";
import { checkHosts } from "./check-hosts.ts";
import { checkHttpRoute } from "./check-http-route.ts";
import { checkRouteOrder } from "./check-route-order.ts";
import { isRecord, joinPath } from "./conform.ts";
import type { PeerAuthentication } from "./istio/peer-authentication.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import type { KnownObject } from "./kinds.ts";
import type { Secret } from "./kubernetes/core.ts";
import { error, type Problem } from "./problem.ts";

/** What is wrong inside one object of valid shape; what Istio's own validation refuses is refused here too. */
export function checkObject(object: KnownObject): Problem[] {
  switch (object.kind) {
    case "AuthorizationPolicy":
      return checkAuthorizationPolicy(object);
    case "DestinationRule":
      return checkDestinationRule(object);
    case "PeerAuthentication":
      return checkPeerAuthentication(object);
    case "Secret":
      return checkSecret(object);
    case "VirtualService":
      return checkVirtualService(object);
    default:
      return [];
  }
}

function checkVirtualService({ spec }: VirtualService): Problem[] {
  const problems = checkHosts(spec.hosts, "spec.hosts");
  const gateways = spec.gateways ?? [];
  if (spec.hosts.includes("*") && (gateways.length === 0 || gateways.includes("mesh"))) {
    problems.push(error("spec.hosts", "has *, which would take over every service for sidecars: name the hosts"));
  }
  for (const [index, http] of (spec.http ?? []).entries()) {
    const path = `spec.http[${index}]`;
    const routes = http.route?.length ?? 0;
    if (routes === 0 && http.redirect === undefined) {
      problems.push(error(path, "says nowhere to go: give it a route with at least one destination, or a redirect"));
    }
    if (routes > 0 && http.redirect !== undefined) {
      problems.push(error(path, "has both a route and a redirect: keep one of them"));
    }
    if (http.redirect !== undefined && http.rewrite !== undefined) {
      problems.push(error(path, "has both a redirect and a rewrite: keep one of them"));
    }
    problems.push(...checkRegexes(http.match, `${path}.match`), ...checkHttpRoute(http, path));
  }
  problems.push(...checkRouteOrder(spec.http ?? [], "spec.http"));
  return problems;
}

/** Every `regex` in a route's conditions must compile in RE2, which is what Envoy runs. */
function checkRegexes(value: unknown, path: string): Problem[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => checkRegexes(item, `${path}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([key, field]) => {
    const fieldPath = joinPath(path, key);
    if (key !== "regex" || typeof field !== "string") return checkRegexes(field, fieldPath);
    const reason = regexProblem(field);
    return reason === undefined ? [] : [error(fieldPath, reason)];
  });
}

function regexProblem(pattern: string): string | undefined {
  if (pattern === "") return "is empty: leave it out, or match empty text with exact";
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (thrown) {
    return `is not a regular expression in RE2's syntax (${messageOf(thrown)}): see https://github.com/google/re2/wiki/Syntax`;
  }
}

function checkPeerAuthentication({ spec }: PeerAuthentication): Problem[] {
  const selects = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  const ports = Object.keys(spec.portLevelMtls ?? {});
  if (selects || ports.length === 0) {
    return ports
      .filter((port) => !isPort(port))
      .map((port) => error(`spec.portLevelMtls[${JSON.stringify(port)}]`, "must be a port number from 1 to 65535"));
  }
  return [
    error(
      "spec.portLevelMtls",
      "needs a selector: ports belong to workloads, so name them in spec.selector.matchLabels",
    ),
  ];
}

function checkSecret({ data }: Secret): Problem[] {
  return Object.entries(data ?? {}).flatMap(([key, text]) =>
    isBase64(text) ? [] : [error(joinPath("data", key), "is not base64: encode it, or move it to stringData")],
  );
}

function isBase64(text: string): boolean {
  const bare = text.replaceAll(/[\r\n]/g, "");
  return bare.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(bare);
}

import { append } from "../platform/append.ts";
import { joinPath } from "./conform.ts";
import { isDnsLabel } from "./dns-label.ts";
import type { StringMatch } from "./istio/fields.ts";
import type { CorsPolicy } from "./istio/http-policies.ts";
import type { HeaderOperations, HttpMatch, HttpRoute } from "./istio/http-route.ts";
import type { VirtualService } from "./istio/virtual-service.ts";
import { type Problem, refusal } from "./problem.ts";
import { refuseHost, refuseHostOrAddress } from "./refuse-host.ts";
import { asksForTooMuch } from "./route-budget.ts";

/** What Istio's validation of a VirtualService refuses though routes can be made of it. */
export function refuseVirtualService(spec: VirtualService["spec"]): Problem[] {
  // All that could be said of so many routes takes seconds, and nobody reads it.
  if (asksForTooMuch(spec)) return [];
  const { hosts = [], http = [], tls = [], tcp = [] } = spec;
  const connectionRoutes = Object.entries({ tls, tcp }).flatMap(([kind, routes]) =>
    routes.flatMap(({ route }, index) => refuseDestinations(route, `spec.${kind}[${index}].route`)),
  );
  return [
    // Gateways of other networks are asked for services by names of this form.
    ...hosts.flatMap((host, index) =>
      host.startsWith("outbound_") ? [] : refuseHostOrAddress(host, `spec.hosts[${index}]`),
    ),
    ...http.flatMap((route, index) => refuseRoute(route, `spec.http[${index}]`)),
    ...connectionRoutes,
  ];
}

function refuseRoute(route: HttpRoute, path: string): Problem[] {
  const { match = [], headers, redirect, rewrite, retries, fault, corsPolicy, mirror } = route;
  const problems = [
    ...match.flatMap((condition, index) => refuseMatch(condition, `${path}.match[${index}]`)),
    ...refuseHeaders(headers, `${path}.headers`),
    ...refuseAuthorities(route, path),
    ...(corsPolicy === undefined ? [] : refuseOrigins(corsPolicy, `${path}.corsPolicy`)),
    ...refuseDestinations(route.route ?? [], `${path}.route`),
    ...refuseDestinations(route.mirrors ?? [], `${path}.mirrors`),
    ...(mirror === undefined ? [] : refuseHost(mirror.host, `${path}.mirror.host`)),
  ];
  if (!["", "http", "https"].includes(redirect?.scheme ?? "")) {
    problems.push(refusal(`${path}.redirect.scheme`, `is ${redirect?.scheme}, and Istio takes http and https alone`));
  }
  if (rewrite?.uriRegexRewrite !== undefined && (rewrite.uriRegexRewrite.rewrite ?? "") === "") {
    problems.push(refusal(`${path}.rewrite.uriRegexRewrite.rewrite`, "is missing: Istio asks for it"));
  }
  if (/\s/.test(retries?.retryOn ?? "")) {
    problems.push(
      refusal(`${path}.retries.retryOn`, "has a blank, which Istio takes for part of a condition: remove it"),
    );
  }
  for (const kind of ["delay", "abort"] as const) {
    const share = fault?.[kind]?.percentage?.value ?? 0;
    if (share === 0 || share >= 0.0001) continue;
    problems.push(
      refusal(`${path}.fault.${kind}.percentage.value`, "is less than 0.0001, the least that Envoy counts"),
    );
  }
  return problems;
}

function refuseMatch(match: HttpMatch, path: string): Problem[] {
  const { scheme, method, authority, headers, withoutHeaders, queryParams, sourceNamespace = "" } = match;
  const problems = refuseEmptyPrefixes({ scheme, method, authority }, path);
  for (const [field, wanted] of Object.entries({ headers, withoutHeaders, queryParams })) {
    if (wanted !== undefined) append(problems, refuseEmptyPrefixes(wanted, `${path}.${field}`));
  }
  for (const [field, wanted] of Object.entries({ headers, withoutHeaders })) {
    if (wanted === undefined) continue;
    const odd = Object.keys(wanted).filter((name) => name.startsWith(":") && !PSEUDO_HEADERS.has(name));
    const reason = `is none of ${[...PSEUDO_HEADERS].join(", ")}, which are all that begin with a colon`;
    append(
      problems,
      odd.map((name) => refusal(joinPath(`${path}.${field}`, name), reason)),
    );
  }
  if (sourceNamespace !== "" && !isDnsLabel(sourceNamespace)) {
    problems.push(
      refusal(`${path}.sourceNamespace`, `is ${JSON.stringify(sourceNamespace)}, which no namespace is called`),
    );
  }
  return problems;
}

/** https://www.rfc-editor.org/rfc/rfc9113#section-8.3 */
const PSEUDO_HEADERS: ReadonlySet<string> = new Set([":method", ":scheme", ":authority", ":path", ":status"]);

type Wanted = Readonly<Record<string, StringMatch | Record<never, never> | undefined>>;

/** Of paths alone Istio takes one. */
function refuseEmptyPrefixes(wanted: Wanted, path: string): Problem[] {
  return Object.entries(wanted).flatMap(([name, want]) =>
    want !== undefined && "prefix" in want && want.prefix === ""
      ? [refusal(joinPath(path, name), "has an empty prefix, which Istio refuses: for any value write {}")]
      : [],
  );
}

function refuseHeaders(headers: HttpRoute["headers"], path: string): Problem[] {
  if (headers === undefined) return [];
  const { request, response } = headers;
  return [
    ...refuseReserved({ remove: request?.remove ?? [] }, `${path}.request`),
    ...refuseReserved(response ?? {}, `${path}.response`),
  ];
}

/** Operations that Envoy refuses, and that are left out here as in what Istio makes of them. */
function refuseReserved({ set = {}, add = {}, remove = [] }: HeaderOperations, path: string): Problem[] {
  const reason = "has no effect: proxies need this header as it is";
  const isReserved = (name: string) => name.startsWith(":") || name.toLowerCase() === "host";
  return [
    ...Object.entries({ set, add }).flatMap(([field, headers]) =>
      Object.keys(headers)
        .filter(isReserved)
        .map((name) => refusal(joinPath(`${path}.${field}`, name), reason)),
    ),
    ...remove.flatMap((name, index) => (isReserved(name) ? [refusal(`${path}.remove[${index}]`, reason)] : [])),
  ];
}

/** Which of several new authorities counts would be a guess. */
function refuseAuthorities({ rewrite, headers }: HttpRoute, path: string): Problem[] {
  const { set = {}, add = {} } = headers?.request ?? {};
  const names = [...Object.keys(set), ...Object.keys(add)].filter((name) => /^(:authority|host)$/i.test(name));
  const rewrites = names.length + ((rewrite?.authority ?? "") === "" ? 0 : 1);
  return rewrites < 2 ? [] : [refusal(path, "says the authority more than once: keep one of rewrite and headers")];
}

function refuseOrigins({ allowOrigins = [] }: CorsPolicy, path: string): Problem[] {
  return allowOrigins.flatMap((origin, index) =>
    Object.values(origin).includes("")
      ? [refusal(`${path}.allowOrigins[${index}]`, "is empty text, which is no origin: remove it, or say which")]
      : [],
  );
}

type Destinations = readonly {
  readonly destination: { readonly host: string };
  readonly headers?: HttpRoute["headers"];
}[];

function refuseDestinations(destinations: Destinations, path: string): Problem[] {
  return destinations.flatMap(({ destination, headers }, index) => [
    ...refuseHost(destination.host, `${path}[${index}].destination.host`),
    ...refuseHeaders(headers, `${path}[${index}].headers`),
  ]);
}

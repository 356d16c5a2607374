import { create } from "@bufbuild/protobuf";
import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
} from "../../gen/envoy/config/core/v3/base_pb.ts";
import {
  type RedirectAction,
  RedirectAction_RedirectResponseCode,
  RedirectActionSchema,
  type Route,
  type RouteAction,
  RouteActionSchema,
  RouteSchema,
  WeightedClusterSchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import type {
  HeaderOperations,
  HttpMatch,
  HttpRedirect,
  HttpRoute,
  HttpRouteDestination,
} from "../../mesh/istio/virtual-service.ts";
import { compareText, type MeshObject } from "../../mesh/object.ts";
import { provenance } from "../provenance.ts";
import { durationOfMs, parseDurationMs } from "../typed-config.ts";
import { buildRouteMatch } from "./match.ts";
import { buildRetryPolicy } from "./retry-policy.ts";

/** Names the cluster of a destination. */
export type ClusterOf = (destination: HttpRouteDestination["destination"]) => string;

/** One Envoy route for one match of a VirtualService's HTTP route. */
export function buildHttpRoute(
  route: HttpRoute,
  match: HttpMatch | null,
  clusterOf: ClusterOf,
  owner: MeshObject,
): Route {
  const name = [route.name, match?.name].filter((part) => part !== undefined && part !== "").join(".");
  const destinations = route.route ?? [];
  const only = destinations.length === 1 ? destinations[0] : undefined;
  return create(RouteSchema, {
    name,
    match: buildRouteMatch(match),
    action:
      route.redirect === undefined
        ? { case: "route", value: routeAction(route, destinations, clusterOf) }
        : { case: "redirect", value: redirectAction(route.redirect) },
    metadata: provenance(owner),
    ...headerMutations(route.headers?.request, route.headers?.response, only?.headers),
  });
}

/** Everything to one cluster: what a service has without a VirtualService. */
export function buildDefaultRoute(cluster: string): Route {
  const retryPolicy = buildRetryPolicy(undefined);
  return create(RouteSchema, {
    name: "default",
    match: { pathSpecifier: { case: "prefix", value: "/" } },
    action: {
      case: "route",
      value: {
        clusterSpecifier: { case: "cluster", value: cluster },
        timeout: durationOfMs(0),
        maxStreamDuration: noStreamLimit,
        ...(retryPolicy === null ? {} : { retryPolicy }),
      },
    },
  });
}

/** Envoy would else cut gRPC calls at the deadline that the caller announced, before the caller does. */
const noStreamLimit = { maxStreamDuration: durationOfMs(0), grpcTimeoutHeaderMax: durationOfMs(0) };

function routeAction(
  route: HttpRoute,
  destinations: readonly HttpRouteDestination[],
  clusterOf: ClusterOf,
): RouteAction {
  const retryPolicy = buildRetryPolicy(route.retries);
  return create(RouteActionSchema, {
    clusterSpecifier: clusterSpecifier(destinations, clusterOf),
    timeout: durationOfMs(route.timeout === undefined ? 0 : parseDurationMs(route.timeout)),
    ...(route.timeout === undefined ? { maxStreamDuration: noStreamLimit } : {}),
    ...(retryPolicy === null ? {} : { retryPolicy }),
    // In place of the prefix that matched, or of the whole path where the match was exact or by regex.
    prefixRewrite: route.rewrite?.uri ?? "",
    ...hostRewrite(route.rewrite?.authority ?? authorityOf(route, destinations)),
  });
}

/** As Istio has it, whoever sets the header `:authority` or `host` means a rewrite. */
function authorityOf(route: HttpRoute, destinations: readonly HttpRouteDestination[]): string | undefined {
  const only = destinations.length === 1 ? destinations[0] : undefined;
  const set = { ...route.headers?.request?.set, ...only?.headers?.request?.set };
  return Object.entries(set).find(([name]) => isAuthority(name))?.[1];
}

function hostRewrite(authority: string | undefined) {
  if (authority === undefined || authority === "") return {};
  return { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: authority } };
}

function clusterSpecifier(
  destinations: readonly HttpRouteDestination[],
  clusterOf: ClusterOf,
): RouteAction["clusterSpecifier"] {
  const [first, ...others] = destinations;
  if (first !== undefined && others.length === 0) return { case: "cluster", value: clusterOf(first.destination) };
  const clusters = destinations
    .filter(({ weight }) => (weight ?? 0) > 0)
    .map(({ destination, weight, headers }) => ({
      name: clusterOf(destination),
      weight,
      ...hostRewrite(Object.entries(headers?.request?.set ?? {}).find(([name]) => isAuthority(name))?.[1]),
      ...headerMutations(headers?.request, headers?.response, undefined),
    }));
  return { case: "weightedClusters", value: create(WeightedClusterSchema, { clusters }) };
}

const REDIRECT_CODES: Readonly<Record<number, RedirectAction_RedirectResponseCode>> = {
  301: RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  302: RedirectAction_RedirectResponseCode.FOUND,
  303: RedirectAction_RedirectResponseCode.SEE_OTHER,
  307: RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT,
  308: RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
};

function redirectAction({ uri, authority, port, scheme, redirectCode }: HttpRedirect): RedirectAction {
  return create(RedirectActionSchema, {
    ...(authority === undefined ? {} : { hostRedirect: authority }),
    ...(port === undefined ? {} : { portRedirect: port }),
    ...(scheme === undefined ? {} : { schemeRewriteSpecifier: { case: "schemeRedirect", value: scheme } }),
    ...(uri === undefined ? {} : { pathRewriteSpecifier: { case: "pathRedirect", value: uri } }),
    responseCode: REDIRECT_CODES[redirectCode ?? 301] ?? RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
  });
}

/** The route's own operations, and those of its only destination, which then needs no weighted cluster to hold them. */
function headerMutations(
  request: HeaderOperations | undefined,
  response: HeaderOperations | undefined,
  destination: HttpRouteDestination["headers"],
) {
  return {
    requestHeadersToAdd: [...additions(request), ...additions(destination?.request)],
    requestHeadersToRemove: [...removals(request), ...removals(destination?.request)],
    responseHeadersToAdd: [...additions(response), ...additions(destination?.response)],
    responseHeadersToRemove: [...removals(response), ...removals(destination?.response)],
  };
}

function additions(operations: HeaderOperations | undefined): HeaderValueOption[] {
  const { OVERWRITE_IF_EXISTS_OR_ADD, APPEND_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
  const option =
    (appendAction: HeaderValueOption_HeaderAppendAction) =>
    ([key, value]: [string, string]) =>
      create(HeaderValueOptionSchema, { header: { key, value }, appendAction });
  const inOrder = (headers: Record<string, string> = {}) =>
    Object.entries(headers)
      .filter(([name]) => !isReserved(name))
      .sort(([a], [b]) => compareText(a, b));
  return [
    ...inOrder(operations?.set).map(option(OVERWRITE_IF_EXISTS_OR_ADD)),
    ...inOrder(operations?.add).map(option(APPEND_IF_EXISTS_OR_ADD)),
  ];
}

function removals(operations: HeaderOperations | undefined): string[] {
  return (operations?.remove ?? []).filter((name) => !isReserved(name));
}

function isAuthority(name: string): boolean {
  return [":authority", "host"].includes(name.toLowerCase());
}

/** Envoy refuses a whole route table over an operation on one of these headers; Istio leaves such operations out. */
function isReserved(name: string): boolean {
  return name.startsWith(":") || isAuthority(name);
}

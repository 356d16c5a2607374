import { create } from "@bufbuild/protobuf";
import {
  type DirectResponseAction,
  DirectResponseActionSchema,
  type Route,
  type RouteAction,
  type RouteAction_RequestMirrorPolicy,
  RouteAction_RequestMirrorPolicySchema,
  RouteActionSchema,
  RouteSchema,
  WeightedClusterSchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import type { Destination } from "../../mesh/istio/fields.ts";
import type { HttpRetry } from "../../mesh/istio/http-policies.ts";
import type {
  HttpDirectResponse,
  HttpMatch,
  HttpRewrite,
  HttpRoute,
  HttpRouteDestination,
} from "../../mesh/istio/http-route.ts";
import type { MeshObject } from "../../mesh/object.ts";
import type { ResolvedDestination } from "../bound-virtual-service.ts";
import { provenance } from "../provenance.ts";
import { durationOfMs, parseDurationMs } from "../typed-config.ts";
import { filterOverrides } from "./filter-overrides.ts";
import { fraction } from "./fraction.ts";
import { authorityOf, headerMutations } from "./header-mutations.ts";
import { buildRouteMatch } from "./match.ts";
import { redirectAction } from "./redirect.ts";
import { buildRetryPolicy } from "./retry-policy.ts";
import { regexMatcher } from "./string-matcher.ts";

/** What a route is made for: the port that its table is of, and where its destinations are. */
export interface RouteTarget {
  readonly port: number;
  /** Of routes that say nothing of retries; null is Istio's default. */
  readonly defaultRetries: HttpRetry | null;
  resolve(destination: Destination): Pick<ResolvedDestination, "cluster" | "isHashed">;
}

/** One Envoy route for one match of a VirtualService's HTTP route. */
export function buildHttpRoute(
  route: HttpRoute,
  match: HttpMatch | null,
  target: RouteTarget,
  owner: MeshObject,
): Route {
  const name = [route.name, match?.name].filter((part) => part !== undefined && part !== "").join(".");
  const destinations = route.route ?? [];
  const only = destinations.length === 1 ? destinations[0] : undefined;
  const { delegate } = route;
  return create(RouteSchema, {
    name,
    match: buildRouteMatch(match),
    statPrefix: match?.statPrefix ?? "",
    action: action(route, destinations, target),
    metadata: provenance(
      owner,
      delegate === undefined ? {} : { delegate: `${delegate.namespace ?? ""}/${delegate.name ?? ""}` },
    ),
    typedPerFilterConfig: filterOverrides(route),
    ...headerMutations(route.headers?.request, route.headers?.response, only?.headers),
  });
}

/** Everything to one cluster: what a service has without a VirtualService. Null are Istio's own retries. */
export function buildDefaultRoute(cluster: string, defaultRetries: HttpRetry | null): Route {
  const retryPolicy = buildRetryPolicy(defaultRetries, false);
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

/** But gRPC calls end at the deadline that the caller announces (grpc-timeout), as DEADLINE_EXCEEDED. */
const noStreamLimit = { maxStreamDuration: durationOfMs(0), grpcTimeoutHeaderMax: durationOfMs(0) };

function action(route: HttpRoute, destinations: readonly HttpRouteDestination[], target: RouteTarget): Route["action"] {
  const { redirect, directResponse } = route;
  if (redirect !== undefined) return { case: "redirect", value: redirectAction(redirect, target.port) };
  if (directResponse !== undefined) return { case: "directResponse", value: directResponseAction(directResponse) };
  return { case: "route", value: routeAction(route, destinations, target) };
}

function directResponseAction({ status, body }: HttpDirectResponse): DirectResponseAction {
  if (body === undefined) return create(DirectResponseActionSchema, { status });
  const specifier =
    "string" in body
      ? { case: "inlineString" as const, value: body.string }
      : { case: "inlineBytes" as const, value: Buffer.from(body.bytes, "base64") };
  return create(DirectResponseActionSchema, { status, body: { specifier } });
}

function routeAction(
  route: HttpRoute,
  destinations: readonly HttpRouteDestination[],
  target: RouteTarget,
): RouteAction {
  const only = destinations.length === 1 ? destinations[0] : undefined;
  const isHashed = only !== undefined && target.resolve(only.destination).isHashed;
  const retryPolicy = buildRetryPolicy(route.retries ?? target.defaultRetries, isHashed);
  return create(RouteActionSchema, {
    clusterSpecifier: clusterSpecifier(destinations, target),
    timeout: durationOfMs(route.timeout === undefined ? 0 : parseDurationMs(route.timeout)),
    ...(route.timeout === undefined ? { maxStreamDuration: noStreamLimit } : {}),
    ...(retryPolicy === null ? {} : { retryPolicy }),
    ...pathRewrite(route.rewrite),
    ...hostRewrite(route.rewrite?.authority || authorityOf(route.headers) || authorityOf(only?.headers)),
    requestMirrorPolicies: mirrorPolicies(route, target),
  });
}

/** Of a prefix that matched only the prefix; of another match, or by a regular expression, any part of the path. */
function pathRewrite({ uri = "", uriRegexRewrite }: HttpRewrite = {}) {
  if (uriRegexRewrite === undefined) return { prefixRewrite: uri };
  const { match, rewrite = "" } = uriRegexRewrite;
  return { regexRewrite: { pattern: regexMatcher(match), substitution: rewrite } };
}

function hostRewrite(authority: string | undefined) {
  if (authority === undefined || authority === "") return {};
  return { hostRewriteSpecifier: { case: "hostRewriteLiteral" as const, value: authority } };
}

function clusterSpecifier(
  destinations: readonly HttpRouteDestination[],
  { resolve }: RouteTarget,
): RouteAction["clusterSpecifier"] {
  const [first, ...others] = destinations;
  if (first !== undefined && others.length === 0) return { case: "cluster", value: resolve(first.destination).cluster };
  const clusters = destinations
    .filter(({ weight }) => (weight ?? 0) > 0)
    .map(({ destination, weight, headers }) => ({
      name: resolve(destination).cluster,
      weight,
      ...hostRewrite(authorityOf(headers)),
      ...headerMutations(headers?.request, headers?.response, undefined),
    }));
  return { case: "weightedClusters", value: create(WeightedClusterSchema, { clusters }) };
}

/** Copies of requests, whose answers nobody waits for; all of them where no share is said. */
function mirrorPolicies(route: HttpRoute, { resolve }: RouteTarget): RouteAction_RequestMirrorPolicy[] {
  const { mirror, mirrorPercentage, mirrorPercent } = route;
  const older = mirrorPercentage === undefined ? mirrorPercent : (mirrorPercentage.value ?? 0);
  const mirrors = [
    ...(mirror === undefined ? [] : [{ destination: mirror, percent: older ?? 100 }]),
    ...(route.mirrors ?? []).map(({ destination, percentage }) => ({
      destination,
      percent: percentage === undefined ? 100 : (percentage.value ?? 0),
    })),
  ];
  return mirrors
    .filter(({ percent }) => percent > 0)
    .map(({ destination, percent }) =>
      create(RouteAction_RequestMirrorPolicySchema, {
        cluster: resolve(destination).cluster,
        runtimeFraction: { defaultValue: fraction(percent) },
        // A copy is as the request was: for the same host, and traced only where that one is.
        disableShadowHostSuffixAppend: true,
        traceSampled: false,
      }),
    );
}

import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { Address } from "../gen/envoy/config/core/v3/address_pb.ts";
import { type Listener, ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { type Route, RouteSchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
  type HttpFilter,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";

/**
 * A plain HTTP listener that answers a few exact paths and leaves requests and responses as they are. `filters` see
 * requests first.
 */
export function localListener(name: string, address: Address, routes: Route[], filters: HttpFilter[] = []): Listener {
  const router = anyPack(RouterSchema, create(RouterSchema, { suppressEnvoyHeaders: true }));
  const http = create(HttpConnectionManagerSchema, {
    statPrefix: name,
    generateRequestId: false,
    skipXffAppend: true,
    serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
    routeSpecifier: {
      case: "routeConfig",
      value: { name, virtualHosts: [{ name, domains: ["*"], routes }], validateClusters: true },
    },
    httpFilters: [
      ...filters,
      { name: "envoy.filters.http.router", configType: { case: "typedConfig", value: router } },
    ],
  });
  return create(ListenerSchema, {
    name,
    address,
    // An app must not be restarted because its proxy has too much to do.
    bypassOverloadManager: true,
    ignoreGlobalConnLimit: true,
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            configType: { case: "typedConfig", value: anyPack(HttpConnectionManagerSchema, http) },
          },
        ],
      },
    ],
  });
}

export interface ForwardedRouteInput {
  readonly path: string;
  /** Path and query that are asked for instead. */
  readonly to: string;
  readonly cluster: string;
  /** 0 for none. */
  readonly timeoutSeconds: number;
  /** In place of the host that was asked for. */
  readonly host?: string;
}

/** Forwards GET only: these ports take no credentials, so nothing may be changed through them. */
export function forwardedRoute({ path, to, cluster, timeoutSeconds, host }: ForwardedRouteInput): Route {
  const get = { matchPattern: { case: "exact" as const, value: "GET" } };
  return create(RouteSchema, {
    match: {
      pathSpecifier: { case: "path", value: path },
      headers: [{ name: ":method", headerMatchSpecifier: { case: "stringMatch", value: get } }],
    },
    action: {
      case: "route",
      value: {
        clusterSpecifier: { case: "cluster", value: cluster },
        prefixRewrite: to,
        timeout: { seconds: BigInt(timeoutSeconds) },
        // Of a request without a time-out, nothing may be heard for long.
        ...(timeoutSeconds === 0 ? { idleTimeout: { seconds: 0n } } : {}),
        ...(host === undefined ? {} : { hostRewriteSpecifier: { case: "hostRewriteLiteral", value: host } }),
      },
    },
    // Would lead to this listener, which has no such path; the kubelet takes a redirect without one as a success.
    responseHeadersToRemove: ["location"],
  });
}

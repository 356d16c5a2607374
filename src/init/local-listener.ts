import type { AddressJson } from "../gen/envoy/config/core/v3/address_pb.ts";
import type { ListenerJson } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import type { RouteJson } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import type {
  HttpConnectionManagerSchema,
  HttpFilterJson,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { packed } from "./packed.ts";

/**
 * A plain HTTP listener that answers a few exact paths and leaves requests and responses as they are. `filters` see
 * requests first.
 */
export function localListener(
  name: string,
  address: AddressJson,
  routes: RouteJson[],
  filters: HttpFilterJson[] = [],
): ListenerJson {
  const router = packed<typeof RouterSchema>("envoy.extensions.filters.http.router.v3.Router", {
    suppressEnvoyHeaders: true,
  });
  const http = packed<typeof HttpConnectionManagerSchema>(
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    {
      statPrefix: name,
      generateRequestId: false,
      skipXffAppend: true,
      serverHeaderTransformation: "PASS_THROUGH",
      routeConfig: { name, virtualHosts: [{ name, domains: ["*"], routes }], validateClusters: true },
      httpFilters: [...filters, { name: "envoy.filters.http.router", typedConfig: router }],
    },
  );
  return {
    name,
    address,
    // An app must not be restarted because its proxy has too much to do.
    bypassOverloadManager: true,
    ignoreGlobalConnLimit: true,
    filterChains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typedConfig: http }] }],
  };
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
export function forwardedRoute({ path, to, cluster, timeoutSeconds, host }: ForwardedRouteInput): RouteJson {
  return {
    match: { path, headers: [{ name: ":method", stringMatch: { exact: "GET" } }] },
    route: {
      cluster,
      prefixRewrite: to,
      timeout: `${timeoutSeconds}s`,
      // Of a request without a time-out, nothing may be heard for long.
      ...(timeoutSeconds === 0 ? { idleTimeout: "0s" } : {}),
      ...(host === undefined ? {} : { hostRewriteLiteral: host }),
    },
    // Would lead to this listener, which has no such path; the kubelet takes a redirect without one as a success.
    responseHeadersToRemove: ["location"],
  };
}

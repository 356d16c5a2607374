import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { RouterSchema } from "../../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { TcpProxySchema } from "../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { durationOfMs, typedConfig } from "../typed-config.ts";

export function tcpProxy(cluster: string): Filter {
  return create(FilterSchema, {
    name: "envoy.filters.network.tcp_proxy",
    configType: {
      case: "typedConfig",
      value: typedConfig(TcpProxySchema, {
        statPrefix: cluster,
        clusterSpecifier: { case: "cluster", value: cluster },
      }),
    },
  });
}

const router = create(HttpFilterSchema, {
  name: "envoy.filters.http.router",
  configType: { case: "typedConfig", value: typedConfig(RouterSchema, {}) },
});

/** Requests pass `filters` in order, then the router. */
export function httpConnectionManager(
  direction: "inbound" | "outbound",
  statPrefix: string,
  routeSpecifier: MessageInitShape<typeof HttpConnectionManagerSchema>["routeSpecifier"],
  filters: readonly HttpFilter[] = [],
): Filter {
  return create(FilterSchema, {
    name: "envoy.filters.network.http_connection_manager",
    configType: {
      case: "typedConfig",
      value: typedConfig(HttpConnectionManagerSchema, {
        codecType: HttpConnectionManager_CodecType.AUTO,
        statPrefix,
        routeSpecifier,
        httpFilters: [...filters, router],
        streamIdleTimeout: durationOfMs(0),
        useRemoteAddress: false,
        // Policies must see the path that the application will see.
        normalizePath: true,
        upgradeConfigs: [{ upgradeType: "websocket" }],
        ...(direction === "inbound" ? callerIdentity : {}),
      }),
    },
  });
}

/** Tells the application who called (x-forwarded-client-cert); Envoy drops the header from callers without mutual TLS. */
const callerIdentity = {
  forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.APPEND_FORWARD,
  setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
  serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
};

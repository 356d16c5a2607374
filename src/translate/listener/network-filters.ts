import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { CorsSchema } from "../../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { HTTPFaultSchema } from "../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { RouterSchema } from "../../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  HttpConnectionManager_CodecType,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { TcpProxySchema } from "../../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { StringMatcherSchema } from "../../gen/envoy/type/matcher/v3/string_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import { CORS_FILTER, FAULT_FILTER, HTTP_CONNECTION_MANAGER } from "../names.ts";
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

/** What they do stands in the routes: `filterOverrides`. */
const routePolicies = [
  create(HttpFilterSchema, {
    name: FAULT_FILTER,
    configType: { case: "typedConfig", value: typedConfig(HTTPFaultSchema, {}) },
  }),
  create(HttpFilterSchema, {
    name: CORS_FILTER,
    configType: { case: "typedConfig", value: typedConfig(CorsSchema, {}) },
  }),
];

export interface HttpOptions {
  readonly direction: "inbound" | "outbound";
  /** What else stands in it, over what all have. */
  readonly settings?: Pick<
    MessageInitShape<typeof HttpConnectionManagerSchema>,
    | "useRemoteAddress"
    | "xffNumTrustedHops"
    | "forwardClientCertDetails"
    | "setCurrentClientCertDetails"
    | "serverName"
    | "localReplyConfig"
  >;
  readonly statPrefix: string;
  readonly routeSpecifier: MessageInitShape<typeof HttpConnectionManagerSchema>["routeSpecifier"];
  /** Requests pass these in order, then the router. */
  readonly filters?: readonly HttpFilter[];
  readonly config: Pick<MeshConfig, "pathNormalization">;
}

/** Of these a connection may become a stream of bytes. Istio has the first alone; kubectl asks for SPDY, and Docker for tcp. */
const UPGRADES = ["websocket", "SPDY/3.1", "tcp"];

/**
 * Offers that a server need not take (RFC 9110, section 7.8). Apache's HttpClient makes that of TLS with every request, and
 * Envoy would refuse whoever offers what it does not know.
 */
const UNTAKEN_OFFERS: MessageInitShape<typeof StringMatcherSchema>[] = [
  { matchPattern: { case: "prefix", value: "TLS/" }, ignoreCase: true },
];

export function httpConnectionManager({
  direction,
  statPrefix,
  routeSpecifier,
  filters = [],
  settings = {},
  config,
}: HttpOptions): Filter {
  return create(FilterSchema, {
    name: HTTP_CONNECTION_MANAGER,
    configType: {
      case: "typedConfig",
      value: typedConfig(HttpConnectionManagerSchema, {
        codecType: HttpConnectionManager_CodecType.AUTO,
        statPrefix,
        routeSpecifier,
        httpFilters: [...filters, ...(direction === "outbound" ? routePolicies : []), router],
        streamIdleTimeout: durationOfMs(0),
        useRemoteAddress: false,
        // Whether a body is wanted is the application's to say.
        proxy100Continue: true,
        ...normalization(config),
        upgradeConfigs: UPGRADES.map((upgradeType) => ({ upgradeType })),
        httpProtocolOptions: { ignoreHttp11Upgrade: UNTAKEN_OFFERS },
        ...(direction === "inbound" ? callerIdentity : {}),
        ...settings,
      }),
    },
  });
}

/** Policies must see the path that the application will see: https://istio.io/latest/docs/ops/best-practices/security/#customize-your-system-on-path-normalization */
function normalization({ pathNormalization }: HttpOptions["config"]) {
  return {
    normalizePath: pathNormalization !== "NONE",
    ...(pathNormalization.endsWith("MERGE_SLASHES") ? { mergeSlashes: true } : {}),
    ...(pathNormalization === "DECODE_AND_MERGE_SLASHES"
      ? {
          pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD,
        }
      : {}),
  };
}

/** Tells the application who called (x-forwarded-client-cert); Envoy drops the header from callers without mutual TLS. */
const callerIdentity = {
  forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.APPEND_FORWARD,
  setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
  serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH,
};

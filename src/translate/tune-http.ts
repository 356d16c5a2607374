import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { Filter, FilterChain } from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  type HttpConnectionManager,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  HttpConnectionManager_TracingSchema,
  HttpConnectionManagerSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { CustomTagSchema } from "../gen/envoy/type/tracing/v3/custom_tag_pb.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { encodeResource } from "./encode.ts";
import { keepHeaderCase } from "./header-case.ts";
import type { ProxyHttp, ProxyTracing, TraceTag } from "./proxy-http.ts";

/**
 * Resources that proxies share, as one ProxyConfig changes them: few proxies have one of their own, and what all share
 * should not have to know of it. `settings` is what `readProxyHttp` returned; null leaves the list as it is.
 */
export function tuneListeners(
  listeners: readonly EncodedResource[],
  settings: string | null,
  cache: BuildCache,
): readonly EncodedResource[] {
  return settings === null ? listeners : cache.get(buildTunedListeners, listeners, settings, cache);
}

export function tuneRoutes(
  routes: readonly EncodedResource[],
  settings: string | null,
  cache: BuildCache,
): readonly EncodedResource[] {
  return settings === null ? routes : cache.get(buildTunedRoutes, routes, settings, cache);
}

function buildTunedListeners(listeners: readonly EncodedResource[], settings: string, cache: BuildCache) {
  return listeners.map((listener) => cache.get(buildTunedListener, listener, settings));
}

function buildTunedRoutes(routes: readonly EncodedResource[], settings: string, cache: BuildCache) {
  const { hasAttemptCount, hasForwardedHost }: ProxyHttp = JSON.parse(settings);
  if (hasAttemptCount && !hasForwardedHost) return routes;
  return routes.map((route) => cache.get(buildTunedRoute, route, hasAttemptCount, hasForwardedHost));
}

function buildTunedRoute(encoded: EncodedResource, hasAttemptCount: boolean, hasForwardedHost: boolean) {
  const configuration = fromBinary(RouteConfigurationSchema, encoded.bytes);
  for (const virtualHost of configuration.virtualHosts) {
    if (!hasAttemptCount) virtualHost.includeRequestAttemptCount = false;
    for (const { action } of virtualHost.routes) {
      if (action.case === "route" && hasForwardedHost) action.value.appendXForwardedHost = true;
    }
  }
  return encodeResource(RouteConfigurationSchema, configuration);
}

const HTTP = Buffer.from(HttpConnectionManagerSchema.typeName);

function buildTunedListener(encoded: EncodedResource, settings: string): EncodedResource {
  if (!Buffer.from(encoded.bytes.buffer, encoded.bytes.byteOffset, encoded.bytes.byteLength).includes(HTTP)) {
    return encoded;
  }
  const http: ProxyHttp = JSON.parse(settings);
  const listener = fromBinary(ListenerSchema, encoded.bytes);
  const isInbound = listener.name.startsWith("virtualInbound") || listener.name.endsWith("_inbound");
  const chains: FilterChain[] = [...listener.filterChains];
  if (listener.defaultFilterChain !== undefined) chains.push(listener.defaultFilterChain);
  for (const { filters } of chains) for (const filter of filters) tuneFilter(filter, http, isInbound);
  return encodeResource(ListenerSchema, listener);
}

function tuneFilter(filter: Filter, http: ProxyHttp, isInbound: boolean): void {
  if (filter.configType.case !== "typedConfig") return;
  const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema);
  if (manager === undefined) return;
  Object.assign(manager, changes(http, manager, isInbound));
  filter.configType = { case: "typedConfig", value: anyPack(HttpConnectionManagerSchema, manager) };
}

function changes(http: ProxyHttp, manager: HttpConnectionManager, isInbound: boolean): Partial<HttpConnectionManager> {
  const { tracing, server, forwardedClientCert: forwarded, clientCertDetails } = http;
  return {
    ...(tracing === null ? {} : { tracing: create(HttpConnectionManager_TracingSchema, tracingOf(tracing)) }),
    ...(server.isPassedThrough ? { serverHeaderTransformation: PASS_THROUGH } : {}),
    ...(server.name === "" ? {} : { serverName: server.name }),
    ...(http.hasRequestId ? {} : { generateRequestId: false }),
    ...(http.hasForwardedPort ? { appendXForwardedPort: true } : {}),
    ...(http.hasHeaderCase ? { httpProtocolOptions: keepHeaderCase(manager.httpProtocolOptions) } : {}),
    ...(http.hasDebugHeaders ? {} : { httpFilters: manager.httpFilters.map(withoutDebugHeaders) }),
    ...(isInbound && forwarded !== null
      ? { forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails[forwarded] }
      : {}),
    ...(isInbound && clientCertDetails !== null
      ? {
          setCurrentClientCertDetails: create(
            HttpConnectionManager_SetCurrentClientCertDetailsSchema,
            clientCertDetails,
          ),
        }
      : {}),
  };
}

const { PASS_THROUGH } = HttpConnectionManager_ServerHeaderTransformation;

function withoutDebugHeaders(filter: HttpConnectionManager["httpFilters"][number]) {
  const config: Any | undefined = filter.configType.case === "typedConfig" ? filter.configType.value : undefined;
  const router = config && anyUnpack(config, RouterSchema);
  if (router === undefined) return filter;
  const quiet = create(RouterSchema, { ...router, suppressEnvoyHeaders: true });
  return { ...filter, configType: { case: "typedConfig" as const, value: anyPack(RouterSchema, quiet) } };
}

/** The collector is the bootstrap's, so none is named here. What a caller has begun to trace is traced on. */
function tracingOf(tracing: ProxyTracing): MessageInitShape<typeof HttpConnectionManager_TracingSchema> {
  const { samplingPercent, maxPathTagLength, tags } = tracing;
  return {
    clientSampling: { value: 100 },
    randomSampling: { value: samplingPercent },
    overallSampling: { value: 100 },
    ...(maxPathTagLength === null ? {} : { maxPathTagLength }),
    customTags: tags.map(customTag),
  };
}

function customTag(tag: TraceTag): MessageInitShape<typeof CustomTagSchema> {
  switch (tag.kind) {
    case "literal":
      return { tag: tag.tag, type: { case: "literal", value: { value: tag.value } } };
    case "format":
      return { tag: tag.tag, type: { case: "value", value: tag.value } };
    case "environment":
      return { tag: tag.tag, type: { case: "environment", value: { name: tag.name, defaultValue: tag.defaultValue } } };
    case "header":
      return {
        tag: tag.tag,
        type: { case: "requestHeader", value: { name: tag.name, defaultValue: tag.defaultValue } },
      };
  }
}

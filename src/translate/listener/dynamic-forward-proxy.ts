import { create } from "@bufbuild/protobuf";
import { FilterConfigSchema } from "../../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import { dnsCache } from "../dns-cache.ts";
import { typedConfig } from "../typed-config.ts";

/** Looks up the host of a request that is routed to a cluster which has no addresses of its own; leaves others alone. */
export function dynamicForwardProxy(config: MeshConfig): HttpFilter {
  return create(HttpFilterSchema, {
    name: "envoy.filters.http.dynamic_forward_proxy",
    configType: {
      case: "typedConfig",
      value: typedConfig(FilterConfigSchema, {
        implementationSpecifier: { case: "dnsCacheConfig", value: dnsCache(config) },
      }),
    },
  });
}

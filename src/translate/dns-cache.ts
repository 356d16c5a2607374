import { create } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { Cluster_DnsLookupFamily } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import {
  type DnsCacheConfig,
  DnsCacheConfigSchema,
} from "../gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import { durationOfMs, parseDurationMs } from "./typed-config.ts";

/** How often names are looked up again where answers do not say; what Envoy would refuse is its least. */
export function dnsRefreshRate({ dnsRefreshRate }: MeshConfig): Duration {
  return durationOfMs(Math.max(parseDurationMs(dnsRefreshRate), 2));
}

/** Where the hosts that callers name are looked up. Filters and clusters that share one must agree in all of it. */
export function dnsCache(config: MeshConfig): DnsCacheConfig {
  return create(DnsCacheConfigSchema, {
    name: "dynamic_dns",
    dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
    dnsRefreshRate: dnsRefreshRate(config),
  });
}

import { fromBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import {
  type HttpProtocolOptions,
  HttpProtocolOptionsSchema,
} from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { BuildCache } from "../platform/build-cache.ts";
import type { EncodedResource } from "../xds/resource-set.ts";
import { encodeResource } from "./encode.ts";
import { keepHeaderCase } from "./header-case.ts";
import type { ProxyHttp } from "./proxy-http.ts";

/** As `tuneListeners`, for clusters. */
export function tuneClusters(
  clusters: readonly EncodedResource[],
  settings: string | null,
  cache: BuildCache,
): readonly EncodedResource[] {
  return settings === null ? clusters : cache.get(buildTunedClusters, clusters, settings, cache);
}

function buildTunedClusters(clusters: readonly EncodedResource[], settings: string, cache: BuildCache) {
  const { hasHeaderCase }: ProxyHttp = JSON.parse(settings);
  return hasHeaderCase ? clusters.map((cluster) => cache.get(buildTunedCluster, cluster)) : clusters;
}

function buildTunedCluster(encoded: EncodedResource): EncodedResource {
  const cluster = fromBinary(ClusterSchema, encoded.bytes);
  const packed = cluster.typedExtensionProtocolOptions[HttpProtocolOptionsSchema.typeName];
  const options = packed && anyUnpack(packed, HttpProtocolOptionsSchema);
  if (options === undefined) return encoded;
  tuneOptions(options);
  cluster.typedExtensionProtocolOptions[HttpProtocolOptionsSchema.typeName] = anyPack(
    HttpProtocolOptionsSchema,
    options,
  );
  return encodeResource(ClusterSchema, cluster);
}

function tuneOptions({ upstreamProtocolOptions: { case: kind, value } }: HttpProtocolOptions): void {
  if (kind === "useDownstreamProtocolConfig") value.httpProtocolOptions = keepHeaderCase(value.httpProtocolOptions);
  if (kind === "explicitHttpConfig" && value.protocolConfig.case === "httpProtocolOptions") {
    value.protocolConfig.value = keepHeaderCase(value.protocolConfig.value);
  }
}

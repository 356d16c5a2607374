import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { HealthCheckSchema } from "../gen/envoy/config/core/v3/health_check_pb.ts";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { socketAddress } from "./address.ts";

export interface LoopbackClusterInput {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Address to connect from. */
  readonly source?: string;
  /** Encrypted, but whoever answers is believed. */
  readonly tls?: boolean;
  /** One connection per request, as the kubelet does it: one kept open may be closed just as the next is sent. */
  readonly oneRequestPerConnection?: boolean;
  /** HTTP/2 without TLS. */
  readonly http2?: boolean;
  readonly healthCheck?: MessageInitShape<typeof HealthCheckSchema>;
}

/** One endpoint inside this pod. */
export function loopbackCluster(input: LoopbackClusterInput): Cluster {
  const { name, address, port, source, tls = false, oneRequestPerConnection, http2, healthCheck } = input;
  const endpoint = { address: socketAddress(address, port) };
  return create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: { seconds: 1n },
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: endpoint } }] }],
    },
    ...(source === undefined
      ? {}
      : { upstreamBindConfig: { sourceAddress: { address: source, portSpecifier: { case: "portValue", value: 0 } } } }),
    ...(tls
      ? {
          transportSocket: {
            name: "envoy.transport_sockets.tls",
            configType: {
              case: "typedConfig",
              value: anyPack(UpstreamTlsContextSchema, create(UpstreamTlsContextSchema)),
            },
          },
        }
      : {}),
    ...(oneRequestPerConnection || http2 ? { typedExtensionProtocolOptions: protocolOptions(input) } : {}),
    ...(healthCheck === undefined ? {} : { healthChecks: [healthCheck] }),
  });
}

function protocolOptions({ oneRequestPerConnection = false, http2 = false }: LoopbackClusterInput) {
  const options = create(HttpProtocolOptionsSchema, {
    ...(oneRequestPerConnection ? { commonHttpProtocolOptions: { maxRequestsPerConnection: 1 } } : {}),
    upstreamProtocolOptions: {
      case: "explicitHttpConfig",
      value: {
        protocolConfig: http2
          ? { case: "http2ProtocolOptions", value: {} }
          : { case: "httpProtocolOptions", value: {} },
      },
    },
  });
  return { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": anyPack(HttpProtocolOptionsSchema, options) };
}

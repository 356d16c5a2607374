import type { ClusterJson } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { HealthCheckJson } from "../gen/envoy/config/core/v3/health_check_pb.ts";
import type { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { socketAddress } from "./address.ts";
import { httpProtocolOptions } from "./http-protocol-options.ts";
import { packed } from "./packed.ts";

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
  readonly healthCheck?: HealthCheckJson;
}

/** One endpoint inside this pod. */
export function loopbackCluster(input: LoopbackClusterInput): ClusterJson {
  const { name, address, port, source, tls = false, oneRequestPerConnection, http2, healthCheck } = input;
  const endpoint = { address: socketAddress(address, port) };
  return {
    name,
    type: "STATIC",
    connectTimeout: "1s",
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ endpoint }] }] },
    ...(source === undefined ? {} : { upstreamBindConfig: { sourceAddress: { address: source, portValue: 0 } } }),
    ...(tls ? { transportSocket: { name: "envoy.transport_sockets.tls", typedConfig: anyCertificate } } : {}),
    ...(oneRequestPerConnection || http2 ? { typedExtensionProtocolOptions: protocolOptions(input) } : {}),
    ...(healthCheck === undefined ? {} : { healthChecks: [healthCheck] }),
  };
}

const anyCertificate = packed<typeof UpstreamTlsContextSchema>(
  "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
  {},
);

function protocolOptions({ oneRequestPerConnection = false, http2 = false }: LoopbackClusterInput) {
  return httpProtocolOptions({
    ...(oneRequestPerConnection ? { commonHttpProtocolOptions: { maxRequestsPerConnection: 1 } } : {}),
    explicitHttpConfig: http2 ? { http2ProtocolOptions: {} } : { httpProtocolOptions: {} },
  });
}

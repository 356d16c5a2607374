import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { socketAddress } from "./address.ts";

export interface LoopbackClusterInput {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Address to connect from. */
  readonly source?: string;
  /** Encrypted, but whoever answers is believed. */
  readonly tls?: boolean;
}

/** One endpoint inside this pod. */
export function loopbackCluster({ name, address, port, source, tls = false }: LoopbackClusterInput): Cluster {
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
  });
}

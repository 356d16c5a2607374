import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { encodeResource } from "../encode.ts";
import { BLACKHOLE_CLUSTER, INBOUND_PASSTHROUGH_CLUSTER, PASSTHROUGH_CLUSTER } from "../names.ts";
import { durationOfMs } from "../typed-config.ts";
import { circuitBreakers } from "./connection-pool.ts";
import { sameAsDownstream } from "./http-protocol-options.ts";

/** Clusters that every proxy has: to wherever the caller wanted to go, and to nowhere. */
export const fixedClusters: readonly EncodedResource[] = [
  encodeResource(ClusterSchema, {
    name: BLACKHOLE_CLUSTER,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: durationOfMs(10_000),
  }),
  encodeResource(ClusterSchema, {
    name: PASSTHROUGH_CLUSTER,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: durationOfMs(10_000),
    circuitBreakers: circuitBreakers({}),
    typedExtensionProtocolOptions: sameAsDownstream,
  }),
  encodeResource(ClusterSchema, toDialledAddress(INBOUND_PASSTHROUGH_CLUSTER)),
];

/**
 * To the application, at the address and port that the caller dialled. The source address, of the same family, is how
 * the interception rules tell the sidecar's own calls to its application, which must not be captured again.
 */
export function toDialledAddress(name: string) {
  return {
    name,
    clusterDiscoveryType: { case: "type" as const, value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    connectTimeout: durationOfMs(10_000),
    circuitBreakers: circuitBreakers({}),
    typedExtensionProtocolOptions: { ...sameAsDownstream },
    upstreamBindConfig: {
      sourceAddress: { address: "127.0.0.6", portSpecifier: { case: "portValue" as const, value: 0 } },
      extraSourceAddresses: [{ address: { address: "::6", portSpecifier: { case: "portValue" as const, value: 0 } } }],
    },
  };
}

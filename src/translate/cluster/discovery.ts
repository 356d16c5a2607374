import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  Cluster_LbSubsetConfig_LbSubsetFallbackPolicy,
  type ClusterSchema,
} from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { DnsLookupFamily } from "../../gen/envoy/extensions/clusters/common/dns/v3/dns_pb.ts";
import { DnsClusterSchema } from "../../gen/envoy/extensions/clusters/dns/v3/dns_cluster_pb.ts";
import { ClusterConfigSchema } from "../../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts";
import type { Subset } from "../../mesh/istio/destination-rule.ts";
import type { LoadBalancerSettings } from "../../mesh/istio/load-balancer.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import { dnsCache, dnsRefreshRate } from "../dns-cache.ts";
import { ADDRESS_KEY, type AssignmentInput, buildAssignment } from "../endpoint/assignment.ts";
import { outboundClusterName } from "../names.ts";
import { adsSource } from "../tls-context.ts";
import { typedConfig } from "../typed-config.ts";
import { loadBalancing } from "./load-balancing.ts";

type ClusterInit = Pick<
  MessageInitShape<typeof ClusterSchema>,
  | "clusterDiscoveryType"
  | "edsClusterConfig"
  | "lbConfig"
  | "lbPolicy"
  | "lbSubsetConfig"
  | "loadAssignment"
  | "loadBalancingPolicy"
>;

/** What of a cluster's input says where its endpoints are. */
export interface DiscoveryInput {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly subset: Subset | null;
  readonly config: MeshConfig;
  readonly known: AssignmentInput | null;
}

/** How a cluster's endpoints are found, by EDS, DNS or the caller's own choice, and how one of them is chosen. */
export function discovery(
  { service, port, subset, config, known }: DiscoveryInput,
  settings: LoadBalancerSettings | undefined,
  byShares: boolean,
): ClusterInit {
  // All connections of a pod come from one address.
  const balancing = loadBalancing(
    settings ?? (service.isSticky ? { consistentHash: { useSourceIp: true } } : undefined),
    byShares,
  );
  if (balancing.clusterDiscoveryType !== undefined) return balancing;
  const name = outboundClusterName(service.hostname, port.number, subset?.name);
  switch (service.resolution) {
    case "endpoints": {
      // Who dialled an endpoint has chosen it: no policy that knows nothing of that may choose another.
      const { loadBalancingPolicy: _, ...plain } = balancing;
      return {
        ...(service.isHeadless ? { ...plain, ...byAddress } : balancing),
        clusterDiscoveryType: type(Cluster_DiscoveryType.EDS),
        edsClusterConfig: { edsConfig: adsSource, serviceName: name },
      };
    }
    case "passthrough":
      return {
        clusterDiscoveryType: type(Cluster_DiscoveryType.ORIGINAL_DST),
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      };
    case "dns":
    case "dns-round-robin": {
      const assignment = known === null ? undefined : buildAssignment(known, subset, null);
      const names = assignment?.endpoints.reduce((sum, { lbEndpoints }) => sum + lbEndpoints.length, 0) ?? 0;
      return {
        ...balancing,
        clusterDiscoveryType: {
          case: "clusterType",
          value: {
            name: "envoy.clusters.dns",
            typedConfig: typedConfig(DnsClusterSchema, lookup(service, names, config)),
          },
        },
        ...(assignment === undefined ? {} : { loadAssignment: assignment }),
      };
    }
    case "dynamic-dns":
      return {
        clusterDiscoveryType: {
          case: "clusterType",
          value: {
            name: "envoy.clusters.dynamic_forward_proxy",
            typedConfig: typedConfig(ClusterConfigSchema, {
              clusterImplementationSpecifier: { case: "dnsCacheConfig", value: dnsCache(config) },
              // A rule may have plaintext go there, or TLS to one name only.
              allowInsecureClusterOptions: true,
            }),
          },
        },
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
      };
  }
}

function lookup(
  { resolution }: MeshService,
  names: number,
  config: MeshConfig,
): MessageInitShape<typeof DnsClusterSchema> {
  return {
    dnsRefreshRate: dnsRefreshRate(config),
    // As long as the answer says, where it says so.
    respectDnsTtl: true,
    dnsLookupFamily: DnsLookupFamily.V4_PREFERRED,
    // Envoy takes turns within one name; a subset may have none.
    ...(resolution === "dns-round-robin" && names === 1 ? { allAddressesInSingleEndpoint: true } : {}),
  };
}

function type(value: Cluster_DiscoveryType) {
  return { case: "type" as const, value };
}

/** Whoever dialled one address of a headless service is sent there; who dialled something else, to any of them. */
const byAddress: Pick<ClusterInit, "lbSubsetConfig"> = {
  lbSubsetConfig: {
    fallbackPolicy: Cluster_LbSubsetConfig_LbSubsetFallbackPolicy.ANY_ENDPOINT,
    subsetSelectors: [{ keys: [ADDRESS_KEY] }],
  },
};

import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { endpointAddress } from "../address.ts";
import { encodeResource } from "../encode.ts";
import type { InboundPort } from "../inbound-port.ts";
import { inboundClusterName } from "../names.ts";
import { shapedBy } from "../provenance.ts";
import { circuitBreakers, connectionOptions } from "./connection-pool.ts";
import { toDialledAddress } from "./fixed.ts";
import { httpProtocolOptions, type UpstreamHttp } from "./http-protocol-options.ts";

/** To the application, where its Sidecar says that it listens, else at the address and port that the caller dialled. */
export function buildInboundCluster(port: InboundPort, config: MeshConfig): EncodedResource {
  const { endpoint, connectionPool, sidecar, rule } = port;
  const policy = connectionPool === null ? {} : { connectionPool };
  const name = inboundClusterName(port.port);
  return encodeResource(ClusterSchema, {
    ...(endpoint === null ? toDialledAddress(name) : toAddress(endpoint, name)),
    ...shapedBy([sidecar, rule]),
    ...(connectionPool === null
      ? {}
      : { ...connectionOptions(connectionPool, config), circuitBreakers: circuitBreakers(policy) }),
    typedExtensionProtocolOptions: httpProtocolOptions(applicationHttp(port), policy),
  });
}

/** What the port declares, whatever the caller's sidecar was told to speak: h2UpgradePolicy ends at this one. */
function applicationHttp({ protocol, connectionPool }: InboundPort): UpstreamHttp {
  if (protocol === "auto" || connectionPool?.http?.useClientProtocol === true) return "callers";
  return protocol === "http2" || protocol === "grpc-web" ? "http2" : "http";
}

function toAddress({ ip, port }: NonNullable<InboundPort["endpoint"]>, name: string) {
  const { upstreamBindConfig, ...dialled } = toDialledAddress(name);
  return {
    ...dialled,
    clusterDiscoveryType: { case: "type" as const, value: Cluster_DiscoveryType.STATIC },
    lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
    loadAssignment: {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: [
            { hostIdentifier: { case: "endpoint" as const, value: { address: endpointAddress(ip, port) } } },
          ],
        },
      ],
    },
    // A socket has no source address.
    ...(ip.startsWith("unix://") ? {} : { upstreamBindConfig }),
  };
}

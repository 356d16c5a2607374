import { create } from "@bufbuild/protobuf";
import { type CircuitBreakers, CircuitBreakersSchema } from "../../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  type Cluster_TransportSocketMatch,
  Cluster_TransportSocketMatchSchema,
  ClusterSchema,
} from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type TransportSocket, TransportSocketSchema } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { RawBufferSchema } from "../../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts";
import type { DestinationRule, Subset } from "../../mesh/istio/destination-rule.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import type { EncodedResource } from "../../xds/resource-set.ts";
import { encodeResource } from "../encode.ts";
import { isHttp, MESH_ALPN, outboundClusterName, outboundSni } from "../names.ts";
import { provenance } from "../provenance.ts";
import { adsSource, upstreamMutualTls } from "../tls-context.ts";
import { durationOfMs, typedConfig } from "../typed-config.ts";
import { httpProtocolOptions } from "./http-protocol-options.ts";

/** The clusters by which a port of a service is reached: the whole service's, then one for each subset of its rule. */
export function buildOutboundClusters(
  service: MeshService,
  port: MeshPort,
  rule: DestinationRule | null,
  identities: string,
  config: MeshConfig,
): readonly EncodedResource[] {
  const subsets: (Subset | null)[] = [null, ...(rule?.spec.subsets ?? [])];
  return subsets.map((subset) => outboundCluster(service, port, rule, subset, identities, config));
}

function outboundCluster(
  service: MeshService,
  port: MeshPort,
  rule: DestinationRule | null,
  subset: Subset | null,
  identities: string,
  config: MeshConfig,
): EncodedResource {
  const { hostname, name, namespace } = service;
  const clusterName = outboundClusterName(hostname, port.number, subset?.name);
  const tlsMode = subset?.trafficPolicy?.tls?.mode ?? rule?.spec.trafficPolicy?.tls?.mode;
  const mutualTls = () => mutualTlsSocket(service, port, subset, identities, config);
  return encodeResource(ClusterSchema, {
    name: clusterName,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: adsSource, serviceName: clusterName },
    connectTimeout: durationOfMs(10_000),
    lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
    circuitBreakers: unlimited,
    typedExtensionProtocolOptions: isHttp(port) ? httpProtocolOptions(port.protocol) : {},
    ...(tlsMode === "ISTIO_MUTUAL"
      ? { transportSocket: mutualTls() }
      : tlsMode === "DISABLE" || !config.enableAutoMtls
        ? {}
        : { transportSocketMatches: automatic(mutualTls()) }),
    metadata: provenance(rule, {
      services: [{ host: hostname, name, namespace }],
      ...(subset === null ? {} : { subset: subset.name }),
    }),
  });
}

/** Mutual TLS to the endpoints that can, plaintext to the rest. */
function automatic(mutualTls: TransportSocket): Cluster_TransportSocketMatch[] {
  return [
    create(Cluster_TransportSocketMatchSchema, {
      name: "tlsMode-istio",
      match: { tlsMode: "istio" },
      transportSocket: mutualTls,
    }),
    create(Cluster_TransportSocketMatchSchema, { name: "tlsMode-disabled", match: {}, transportSocket: plaintext }),
  ];
}

const plaintext = create(TransportSocketSchema, {
  name: "envoy.transport_sockets.raw_buffer",
  configType: { case: "typedConfig", value: typedConfig(RawBufferSchema, {}) },
});

function mutualTlsSocket(
  service: MeshService,
  port: MeshPort,
  subset: Subset | null,
  identities: string,
  config: MeshConfig,
): TransportSocket {
  const root = `spiffe://${config.trustDomain}/`;
  const peers =
    identities === ""
      ? { prefix: `${root}ns/${service.namespace}/sa/` }
      : { ids: identities.split(",").map((identity) => root + identity) };
  const alpn =
    port.protocol === "http2" ? [MESH_ALPN, "h2"] : port.protocol === "http" ? [MESH_ALPN, "http/1.1"] : [MESH_ALPN];
  return create(TransportSocketSchema, {
    name: "envoy.transport_sockets.tls",
    configType: {
      case: "typedConfig",
      value: upstreamMutualTls(outboundSni(service.hostname, port.number, subset?.name), peers, alpn),
    },
  });
}

/** Envoy's own defaults (1,024 of each) would shed load that nobody asked to shed. */
const MAX = 4294967295;
const unlimited: CircuitBreakers = create(CircuitBreakersSchema, {
  thresholds: [
    { maxConnections: MAX, maxPendingRequests: MAX, maxRequests: MAX, maxRetries: MAX, trackRemaining: true },
  ],
});

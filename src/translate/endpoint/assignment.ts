import { create, toBinary } from "@bufbuild/protobuf";
import { HealthStatus } from "../../gen/envoy/config/core/v3/health_check_pb.ts";
import { type LbEndpoint, LbEndpointSchema } from "../../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { PeerAuthentication } from "../../mesh/istio/peer-authentication.ts";
import { labelsMatch } from "../../mesh/labels.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import { ownValue } from "../../mesh/own-value.ts";
import { buildMutualTlsModes } from "../../mesh/peer-authentication-mode.ts";
import type { MeshEndpoint, ServiceEndpoints } from "../../mesh/service-endpoints.ts";
import { type EncodedResource, encodedResource } from "../../xds/resource-set.ts";
import { address } from "../address.ts";
import { outboundClusterName } from "../names.ts";

/** The endpoint assignments of the clusters that `buildOutboundClusters` makes, in the same order. */
export function buildAssignments(
  service: MeshService,
  port: MeshPort,
  endpoints: ServiceEndpoints,
  rule: DestinationRule | null,
  policies: readonly PeerAuthentication[],
): readonly EncodedResource[] {
  const serving = endpoints.endpoints.filter((endpoint) => portOf(endpoint, port) !== undefined);
  const encoded = new Map(serving.map((endpoint) => [endpoint, lbEndpoint(endpoint, port, policies)]));
  const subsets = [null, ...(rule?.spec.subsets ?? [])];
  return subsets.map((subset) => {
    const members = serving.filter((endpoint) => labelsMatch(subset?.labels, endpoint.labels));
    const clusterName = outboundClusterName(service.hostname, port.number, subset?.name);
    const assignment = create(ClusterLoadAssignmentSchema, {
      clusterName,
      endpoints:
        members.length === 0 ? [] : [{ lbEndpoints: members.flatMap((endpoint) => encoded.get(endpoint) ?? []) }],
    });
    return encodedResource(clusterName, toBinary(ClusterLoadAssignmentSchema, assignment));
  });
}

function portOf(endpoint: MeshEndpoint, port: MeshPort): number | undefined {
  return ownValue(endpoint.ports, port.name);
}

function lbEndpoint(endpoint: MeshEndpoint, port: MeshPort, policies: readonly PeerAuthentication[]): LbEndpoint {
  const number = portOf(endpoint, port) ?? 0;
  return create(LbEndpointSchema, {
    hostIdentifier: { case: "endpoint", value: { address: address(endpoint.address, number) } },
    healthStatus: endpoint.health === "draining" ? HealthStatus.DRAINING : HealthStatus.HEALTHY,
    ...(takesMutualTls(endpoint, number, policies)
      ? { metadata: { filterMetadata: { "envoy.transport_socket_match": { tlsMode: "istio" } } } }
      : {}),
  });
}

/** A sidecar whose policy disables mutual TLS on the port must be called in plaintext. */
function takesMutualTls(endpoint: MeshEndpoint, port: number, policies: readonly PeerAuthentication[]): boolean {
  if (!endpoint.tlsCapable) return false;
  if (policies.length === 0) return true;
  const { mode, byPort } = buildMutualTlsModes(policies, endpoint.labels, endpoint.namespace);
  return (byPort[port] ?? mode) !== "DISABLE";
}

import { create, toBinary } from "@bufbuild/protobuf";
import { HealthStatus } from "../../gen/envoy/config/core/v3/health_check_pb.ts";
import { type LbEndpoint, LbEndpointSchema } from "../../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from "../../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { DestinationRule, Subset } from "../../mesh/istio/destination-rule.ts";
import type { LocalityLbSetting } from "../../mesh/istio/load-balancer.ts";
import type { PeerAuthentication } from "../../mesh/istio/peer-authentication.ts";
import type { MeshConfig } from "../../mesh/mesh-config.ts";
import type { MeshPort, MeshService } from "../../mesh/mesh-service.ts";
import type { NetworkGateways } from "../../mesh/network-gateways.ts";
import { ownValue } from "../../mesh/own-value.ts";
import { buildMutualTlsModes } from "../../mesh/peer-authentication-mode.ts";
import type { MeshEndpoint, ServiceEndpoints } from "../../mesh/service-endpoints.ts";
import { NODE_LABEL, placedLabel } from "../../mesh/topology-labels.ts";
import { ipVersion } from "../../platform/ip-version.ts";
import { type EncodedResource, encodedResource } from "../../xds/resource-set.ts";
import { endpointAddress } from "../address.ts";
import { outboundClusterName } from "../names.ts";
import { groupByLocality } from "./locality-groups.ts";
import { localityPreference } from "./locality-preference.ts";
import { crossesNetworks, type Target, targetsOf } from "./network-crossing.ts";
import type { Viewpoint } from "./viewpoint.ts";

/** What decides about the endpoints of a port's clusters, for one service. */
export interface AssignmentInput {
  readonly service: MeshService;
  readonly port: MeshPort;
  readonly endpoints: ServiceEndpoints;
  readonly rule: DestinationRule | null;
  readonly policies: readonly PeerAuthentication[];
  readonly localityLb: LocalityLbSetting | null;
  /** Into the networks that not every caller reaches directly. */
  readonly gateways: NetworkGateways;
  /** By which labels callers are told apart, beside their locality; null where all callers get the same. */
  readonly looksAt: readonly string[] | null;
}

/**
 * The endpoint assignments of the clusters that `buildOutboundClusters` makes, in the same order, as a caller at
 * `viewpoint` needs them; null where it does not matter who calls.
 */
export function buildAssignments(input: AssignmentInput, viewpoint: Viewpoint | null): readonly EncodedResource[] {
  const subsets = [null, ...(input.rule?.spec.subsets ?? [])];
  return subsets.map((subset) => {
    const assignment = buildAssignment(input, subset, viewpoint);
    return encodedResource(assignment.clusterName, toBinary(ClusterLoadAssignmentSchema, assignment));
  });
}

export function buildAssignment(
  { service, port, endpoints, rule, policies, localityLb, gateways }: AssignmentInput,
  subset: Subset | null,
  viewpoint: Viewpoint | null,
): ClusterLoadAssignment {
  const members = endpoints.endpoints.filter(
    (endpoint) =>
      portOf(endpoint, port) !== undefined &&
      isOfSubset(endpoint, subset) &&
      (!service.isNodeLocal || viewpoint === null || endpoint.nodeName === viewpoint.nodeName) &&
      // A gateway knows whom a connection is for by its mutual TLS alone, and where that is.
      (crossesNetworks(endpoint, viewpoint, gateways)
        ? speaksMutualTls(endpoint, service, port, policies)
        : isUsable(endpoint, service)),
  );
  const preference = localityPreference(service, port, rule, subset, localityLb);
  return create(ClusterLoadAssignmentSchema, {
    clusterName: outboundClusterName(service.hostname, port.number, subset?.name),
    endpoints: groupByLocality(members, viewpoint, preference).map(({ locality, priority, weight, members }) => ({
      ...(locality === null ? {} : { locality }),
      priority,
      ...(weight === 0 ? {} : { loadBalancingWeight: weight }),
      lbEndpoints: targetsOf(members, viewpoint, gateways).map((target) => lbEndpoint(target, service, port, policies)),
    })),
  });
}

/** Whether whoever of them is dialled takes mutual TLS; of none nobody knows. */
export function allSpeakMutualTls(
  { service, port, endpoints, policies }: AssignmentInput,
  subset: Subset | null,
): boolean {
  const members = endpoints.endpoints.filter(
    (endpoint) => portOf(endpoint, port) !== undefined && isOfSubset(endpoint, subset),
  );
  return members.length > 0 && members.every((endpoint) => speaksMutualTls(endpoint, service, port, policies));
}

function isOfSubset(endpoint: MeshEndpoint, subset: Subset | null): boolean {
  return Object.entries(subset?.labels ?? {}).every(([key, value]) => placedLabel(key, endpoint) === value);
}

type AssignmentFacts = Omit<AssignmentInput, "looksAt">;

/** One for each port of the service, in their order. */
export function buildAssignmentInputs(
  service: MeshService,
  endpoints: ServiceEndpoints,
  rule: DestinationRule | null,
  policies: readonly PeerAuthentication[],
  config: MeshConfig,
  gateways: NetworkGateways,
): readonly AssignmentInput[] {
  return service.ports.map((port) => {
    const facts = { service, port, endpoints, rule, policies, localityLb: config.localityLb, gateways };
    return { ...facts, looksAt: labelsLookedAt(facts) };
  });
}

function labelsLookedAt({
  service,
  port,
  endpoints,
  rule,
  localityLb,
  gateways,
}: AssignmentFacts): readonly string[] | null {
  const subsets = [null, ...(rule?.spec.subsets ?? [])];
  const preferences = subsets.flatMap((subset) => localityPreference(service, port, rule, subset, localityLb) ?? []);
  const looksAround = endpoints.endpoints.some(({ forZones, network }) => forZones.length > 0 || gateways.has(network));
  if (preferences.length === 0 && !looksAround && !service.isNodeLocal) return null;
  const keys = preferences.flatMap((preference) => (preference.kind === "labels" ? preference.keys : []));
  return [...(service.isNodeLocal ? [NODE_LABEL] : []), ...keys.map((key) => key.split("=")[0] ?? "")];
}

/** By the name of the service's port; what stands for itself has the service's own target, if it is a number. */
function portOf(endpoint: MeshEndpoint, { name, targetPort, number }: MeshPort): number | undefined {
  const own = ownValue(endpoint.ports, name);
  if (own !== undefined || !endpoint.hasEveryPort) return own;
  return typeof targetPort === "number" ? targetPort : number;
}

/** Names are only for those who look them up. */
function isUsable({ address }: MeshEndpoint, { resolution }: MeshService): boolean {
  return address !== "" && (resolution !== "endpoints" || ipVersion(address) !== null || address.startsWith("unix://"));
}

const MUTUAL_TLS = { "envoy.transport_socket_match": { tlsMode: "istio" } };

function lbEndpoint(
  target: Target,
  service: MeshService,
  port: MeshPort,
  policies: readonly PeerAuthentication[],
): LbEndpoint {
  if (target.kind === "gateway") {
    const { gateway, weight, health } = target;
    return create(LbEndpointSchema, {
      hostIdentifier: {
        case: "endpoint",
        value: { address: endpointAddress(gateway.address, gateway.port) },
      },
      healthStatus: healthStatus(health),
      loadBalancingWeight: weight,
      metadata: { filterMetadata: MUTUAL_TLS },
    });
  }
  const { endpoint, weight } = target;
  const number = portOf(endpoint, port) ?? 0;
  const metadata = {
    ...(speaksMutualTls(endpoint, service, port, policies) ? MUTUAL_TLS : {}),
    // By which whoever dialled this very address is sent to it.
    ...(service.isHeadless ? { "envoy.lb": { [ADDRESS_KEY]: endpoint.address } } : {}),
  };
  return create(LbEndpointSchema, {
    hostIdentifier: { case: "endpoint", value: { address: endpointAddress(endpoint.address, number) } },
    healthStatus: healthStatus(endpoint.health),
    ...(weight === 0 ? {} : { loadBalancingWeight: weight }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata: { filterMetadata: metadata } }),
  });
}

function healthStatus(health: MeshEndpoint["health"]): HealthStatus {
  return health === "draining" ? HealthStatus.DRAINING : HealthStatus.HEALTHY;
}

/** In the metadata `envoy.lb` of a headless service's endpoints. */
export const ADDRESS_KEY = "address";

/** A sidecar whose policy disables mutual TLS on the port must be called in plaintext. */
function speaksMutualTls(
  endpoint: MeshEndpoint,
  service: MeshService,
  meshPort: MeshPort,
  policies: readonly PeerAuthentication[],
): boolean {
  if (service.isExternal || !endpoint.tlsCapable) return false;
  if (policies.length === 0) return true;
  const { mode, byPort } = buildMutualTlsModes(policies, endpoint.labels, endpoint.namespace);
  return (byPort[portOf(endpoint, meshPort) ?? 0] ?? mode) !== "DISABLE";
}

import { create, toBinary } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { type FilterChain, FilterChainSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { ServerHost } from "../../mesh/gateway-server.ts";
import { hostMatches } from "../../mesh/hostname.ts";
import type { Gateway } from "../../mesh/istio/gateway.ts";
import type { NetworkGateways } from "../../mesh/network-gateways.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import { type EncodedResource, encodedResource } from "../../xds/resource-set.ts";
import { encodeResource } from "../encode.ts";
import { type AssignmentInput, buildAssignment } from "../endpoint/assignment.ts";
import { tcpProxy } from "../listener/network-filters.ts";
import { MESH_ALPN, MESH_HTTP_ALPNS, outboundSni } from "../names.ts";
import { provenance } from "../provenance.ts";
import { adsSource } from "../tls-context.ts";
import { durationOfMs } from "../typed-config.ts";

/**
 * A gateway between networks (AUTO_PASSTHROUGH): sidecars of another network reach each service of this one through it by
 * the server name of their mutual TLS, which goes on unopened. Nothing but these names leads anywhere.
 */
export interface SniRoutes {
  readonly clusters: readonly EncodedResource[];
  readonly endpoints: readonly EncodedResource[];
}

/** Clusters are named as the server name is, and have the endpoints of the gateway's own network alone. */
export function buildSniClusters(inputs: readonly AssignmentInput[], network: string, cache: BuildCache): SniRoutes {
  const clusters: EncodedResource[] = [];
  const endpoints: EncodedResource[] = [];
  for (const input of inputs) {
    clusters.push(...cache.get(buildClusters, input));
    endpoints.push(...cache.get(buildEndpoints, input, network));
  }
  return { clusters, endpoints };
}

function buildClusters({ service, port, rule }: AssignmentInput): readonly EncodedResource[] {
  return ["", ...(rule?.spec.subsets ?? []).map(({ name }) => name)].map((subset) =>
    encodeResource(ClusterSchema, {
      name: outboundSni(service.hostname, port.number, subset),
      clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: { edsConfig: adsSource },
      connectTimeout: durationOfMs(10_000),
      lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
      metadata: provenance(rule, {
        services: [{ host: service.hostname, name: service.name, namespace: service.namespace }],
      }),
    }),
  );
}

const NO_GATEWAYS: NetworkGateways = new Map();

function buildEndpoints(input: AssignmentInput, own: string): readonly EncodedResource[] {
  const { service, port, rule, endpoints } = input;
  const near = endpoints.endpoints.filter(({ network }) => network === own);
  const nearby = { ...input, endpoints: { ...endpoints, endpoints: near }, gateways: NO_GATEWAYS };
  return [null, ...(rule?.spec.subsets ?? [])].map((subset) => {
    const assignment = buildAssignment(nearby, subset, null);
    assignment.clusterName = outboundSni(service.hostname, port.number, subset?.name);
    return encodedResource(assignment.clusterName, toBinary(ClusterLoadAssignmentSchema, assignment));
  });
}

/** A chain for each of these services that the server is for. */
export function sniChains(
  inputs: readonly AssignmentInput[],
  hosts: readonly ServerHost[],
  gateway: Gateway,
): readonly FilterChain[] {
  const served = inputs.filter(({ service: { hostname, namespace } }) =>
    hosts.some((one) => (one.namespace === "*" || one.namespace === namespace) && hostMatches(one.host, hostname)),
  );
  return served.flatMap(({ service, port, rule }) =>
    ["", ...(rule?.spec.subsets ?? []).map(({ name }) => name)].map((subset) => {
      const name = outboundSni(service.hostname, port.number, subset);
      return create(FilterChainSchema, {
        name,
        filterChainMatch: { serverNames: [name], applicationProtocols: [MESH_ALPN, ...MESH_HTTP_ALPNS] },
        filters: [tcpProxy(name)],
        metadata: provenance(gateway),
      });
    }),
  );
}

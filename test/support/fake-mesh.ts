import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  type Cluster,
  Cluster_DiscoveryType,
  ClusterSchema,
} from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ApiVersion, ConfigSourceSchema } from "../../src/gen/envoy/config/core/v3/config_source_pb.ts";
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { type Listener, ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { type RouteConfiguration, RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { HttpConnectionManagerSchema } from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { encodedResource, type ProxyResources, ResourceSet, TYPE_URL } from "../../src/xds/resource-set.ts";

/** Sizes of a made-up mesh, and what distinguishes one endpoint of it. */
export interface FakeMeshOptions {
  readonly services: number;
  readonly endpointsEach: number;
  /** Bytes of padding in each cluster, to come to the size of a real one. */
  readonly padding: number;
}

const ADS = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: "ads", value: {} },
  resourceApiVersion: ApiVersion.V3,
});

/** Clusters, endpoints, one listener a port and its routes, shaped like those of a real sidecar. */
export function fakeMesh(options: FakeMeshOptions): ProxyResources {
  const names = Array.from(
    { length: options.services },
    (_, i) => `outbound|80||svc-${i}.load-${i % 20}.svc.cluster.local`,
  );
  const ports = [80, 443, 8080, 9000, 9001, 9002];
  const pad = "x".repeat(options.padding);
  const sets = [
    new ResourceSet(
      TYPE_URL.cluster,
      names.map((name) => encodedResource(name, toBinary(ClusterSchema, cluster(name, pad)))),
    ),
    new ResourceSet(
      TYPE_URL.endpoint,
      names.map((name, i) => fakeEndpoints(name, i, options.endpointsEach)),
    ),
    new ResourceSet(
      TYPE_URL.listener,
      ports.map((port) => encodedResource(`0.0.0.0_${port}`, toBinary(ListenerSchema, listener(port)))),
    ),
    new ResourceSet(
      TYPE_URL.route,
      ports.map((port, index) =>
        encodedResource(
          `${port}`,
          toBinary(
            RouteConfigurationSchema,
            routes(
              port,
              names.filter((_, i) => i % ports.length === index),
            ),
          ),
        ),
      ),
    ),
  ];
  return new Map(sets.map((set) => [set.typeUrl, set]));
}

/** The endpoints of one cluster; `third` is the third octet of their addresses. */
export function fakeEndpoints(name: string, third: number, count: number, second = 100) {
  return encodedResource(name, toBinary(ClusterLoadAssignmentSchema, assignment(name, third, count, second)));
}

/** The same mesh with one resource of one type replaced or added. */
export function withResource(
  resources: ProxyResources,
  typeUrl: ResourceSet["typeUrl"],
  resource: ReturnType<typeof encodedResource>,
): ProxyResources {
  const before = resources.get(typeUrl)?.byName ?? new Map();
  const set = new ResourceSet(typeUrl, new Map([...before, [resource.name, resource]]).values());
  return new Map([...resources, [typeUrl, set]]);
}

function cluster(name: string, pad: string): Cluster {
  return create(ClusterSchema, {
    name,
    altStatName: pad,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ADS, serviceName: name },
  });
}

function assignment(name: string, third: number, count: number, second: number): ClusterLoadAssignment {
  const lbEndpoints = Array.from({ length: count }, (_, i) => ({
    hostIdentifier: {
      case: "endpoint" as const,
      value: {
        address: {
          address: {
            case: "socketAddress" as const,
            value: {
              address: `10.${second + Math.floor(third / 250)}.${third % 250}.${i + 1}`,
              portSpecifier: { case: "portValue" as const, value: 8080 },
            },
          },
        },
      },
    },
    loadBalancingWeight: 1,
  }));
  return create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: [{ lbEndpoints }] });
}

function listener(port: number): Listener {
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: `outbound_${port}`,
    routeSpecifier: { case: "rds", value: { routeConfigName: `${port}`, configSource: ADS } },
  });
  const typedConfig = anyPack(HttpConnectionManagerSchema, manager);
  return create(ListenerSchema, {
    name: `0.0.0.0_${port}`,
    filterChains: [{ filters: [{ name: "http", configType: { case: "typedConfig", value: typedConfig } }] }],
  });
}

function routes(port: number, clusters: readonly string[]): RouteConfiguration {
  return create(RouteConfigurationSchema, {
    name: `${port}`,
    virtualHosts: clusters.map((name) => ({
      name: `${name}:${port}`,
      domains: [`${name}.local`, `${name}.local:${port}`],
      routes: [
        {
          match: { pathSpecifier: { case: "prefix" as const, value: "/" } },
          action: { case: "route" as const, value: { clusterSpecifier: { case: "cluster" as const, value: name } } },
        },
      ],
    })),
  });
}

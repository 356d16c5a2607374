import { create, createRegistry, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Bootstrap, BootstrapSchema } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import { FileBasedMetadataConfigSchema } from "../gen/envoy/config/grpc_credential/v3/file_based_metadata_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { HttpConnectionManagerSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import type { AppProbers } from "../injection/pod-contract.ts";
import { socketAddress } from "./address.ts";
import { appProbeClusters, appProbeRoutes } from "./app-probes.ts";
import { type DiscoveryInput, discoveryResources } from "./discovery.ts";
import { forwardedRoute, localListener } from "./local-listener.ts";
import { loopbackCluster } from "./loopback-cluster.ts";
import { type NodeIdentity, nodeCluster, nodeId, nodeLocality, nodeMetadata } from "./node-identity.ts";

export interface BootstrapInput {
  readonly node: NodeIdentity;
  readonly discovery: DiscoveryInput;
  readonly probers: AppProbers;
  /** `PROXY_PORT`, but in tests that share one machine. */
  readonly ports: { readonly admin: number; readonly status: number; readonly metrics: number };
}

/**
 * What Envoy starts with: who it is, where its configuration comes from, and the two listeners that need none,
 * for health and for metrics. Those listen only once the first clusters and listeners have come, so that a pod
 * cannot be ready before its proxy is.
 */
export function buildBootstrap({ node, discovery, probers, ports }: BootstrapInput): Bootstrap {
  const bindTo = node.ipAddress.includes(":") ? "::" : "0.0.0.0";
  return create(BootstrapSchema, {
    node: {
      id: nodeId(node),
      cluster: nodeCluster(node),
      metadata: nodeMetadata(node),
      ...localityOf(node),
    },
    // Every stats name and runtime switch can be read here, and the proxy stopped: for the pod's own processes alone.
    admin: { address: socketAddress("127.0.0.1", ports.admin) },
    dynamicResources: discoveryResources(discovery),
    staticResources: {
      listeners: [
        localListener("status", socketAddress(bindTo, ports.status), [
          forwardedRoute({ path: "/healthz/ready", to: "/ready", cluster: "agent", timeoutSeconds: 1 }),
          ...appProbeRoutes(probers, node.ipAddress),
        ]),
        localListener("metrics", socketAddress(bindTo, ports.metrics), [
          forwardedRoute({
            path: "/stats/prometheus",
            to: "/stats/prometheus",
            cluster: "prometheus_stats",
            timeoutSeconds: 30,
          }),
        ]),
      ],
      clusters: [
        loopbackCluster({ name: "agent", address: "127.0.0.1", port: ports.admin }),
        loopbackCluster({ name: "prometheus_stats", address: "127.0.0.1", port: ports.admin }),
        ...appProbeClusters(probers, node.ipAddress),
      ],
    },
    layeredRuntime: {
      layers: [
        {
          name: "trysail",
          layerSpecifier: {
            case: "staticLayer",
            value: {
              // A regex that compiles to more is refused: it would cost every request.
              "re2.max_program_size.error_level": 32_768,
              // The proxy stands in front of a workload that has limits of its own.
              "overload.global_downstream_max_connections": 2_147_483_647,
            },
          },
        },
      ],
    },
  });
}

/** The bootstrap as the JSON that `envoy -c` reads. */
export function printBootstrap(bootstrap: Bootstrap): string {
  return `${JSON.stringify(bootstrapJson(bootstrap), null, 1)}\n`;
}

export function bootstrapJson(bootstrap: Bootstrap): JsonValue {
  return toJson(BootstrapSchema, bootstrap, { registry: packedTypes });
}

/** The messages that the bootstrap packs into `google.protobuf.Any`. */
const packedTypes = createRegistry(
  FileBasedMetadataConfigSchema,
  HttpConnectionManagerSchema,
  RouterSchema,
  UpstreamTlsContextSchema,
);

function localityOf(node: NodeIdentity) {
  const locality = nodeLocality(node);
  return locality === undefined ? {} : { locality };
}

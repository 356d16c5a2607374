import type { JsonObject } from "@bufbuild/protobuf";

const EXTENSIONS = "type.googleapis.com/envoy.extensions";

/**
 * Of the proxy beside `caller.shop`: clusters, endpoints and routes by ADS, and one listener of its own, `requests`, with
 * the route table of port 80.
 */
export function adsBootstrap(adsPort: number): JsonObject {
  const address = { socketAddress: { address: "127.0.0.1", portValue: adsPort } };
  return bootstrap(address, { listeners: [requests] }, {});
}

/** Of the same proxy, with all of its listeners by ADS too, from a control plane behind a socket. */
export function followingBootstrap(socketPath: string): JsonObject {
  return bootstrap({ pipe: { path: socketPath } }, {}, { ldsConfig: ads });
}

const ads = { ads: {}, resourceApiVersion: "V3" };

const requests: JsonObject = {
  name: "requests",
  address: { socketAddress: { address: "127.0.0.1", portValue: 0 } },
  filterChains: [
    {
      filters: [
        {
          name: "http",
          typedConfig: {
            "@type": `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
            statPrefix: "test",
            rds: { routeConfigName: "80", configSource: ads },
            httpFilters: ["fault.v3.HTTPFault", "cors.v3.Cors", "router.v3.Router"].map((type) => ({
              name: `envoy.filters.http.${type.split(".")[0]}`,
              typedConfig: { "@type": `${EXTENSIONS}.filters.http.${type}` },
            })),
          },
        },
      ],
    },
  ],
};

function bootstrap(controlPlane: JsonObject, own: JsonObject, dynamic: JsonObject): JsonObject {
  return {
    node: { id: "sidecar~127.0.0.90~caller.shop~shop.svc.cluster.local", cluster: "caller.shop" },
    dynamicResources: {
      adsConfig: {
        apiType: "DELTA_GRPC",
        transportApiVersion: "V3",
        grpcServices: [{ envoyGrpc: { clusterName: "control-plane" } }],
      },
      cdsConfig: ads,
      ...dynamic,
    },
    staticResources: {
      ...own,
      clusters: [
        {
          name: "control-plane",
          type: "STATIC",
          connectTimeout: "1s",
          typedExtensionProtocolOptions: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
              explicitHttpConfig: { http2ProtocolOptions: {} },
            },
          },
          loadAssignment: {
            clusterName: "control-plane",
            endpoints: [{ lbEndpoints: [{ endpoint: { address: controlPlane } }] }],
          },
        },
      ],
    },
  };
}

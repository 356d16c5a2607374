import type { Bootstrap_DynamicResourcesJson } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import type { ConfigSourceJson } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import type { GrpcServiceJson } from "../gen/envoy/config/core/v3/grpc_service_pb.ts";
import type { FileBasedMetadataConfigSchema } from "../gen/envoy/config/grpc_credential/v3/file_based_metadata_pb.ts";
import { packed } from "./packed.ts";

export interface DiscoveryInput {
  /** `HOST:PORT` of the control plane; its certificate must carry the host. */
  readonly address: string;
  /** Read anew at each stream, so that Kubernetes may rotate it. */
  readonly tokenFile: string;
  readonly rootCertFile: string;
}

/** Clusters, listeners and all that they name arrive over one delta stream. */
export function discoveryResources(input: DiscoveryInput): Bootstrap_DynamicResourcesJson {
  return {
    adsConfig: {
      apiType: "DELTA_GRPC",
      transportApiVersion: "V3",
      setNodeOnFirstMessageOnly: true,
      grpcServices: [controlPlane(input)],
    },
    cdsConfig: overAds,
    ldsConfig: overAds,
  };
}

/** Waits without end: with nothing from the control plane yet, serving nothing is right and serving plaintext is not. */
const overAds: ConfigSourceJson = { ads: {}, resourceApiVersion: "V3", initialFetchTimeout: "0s" };

const FILE_BASED_METADATA = "envoy.grpc_credentials.file_based_metadata";

/** Envoy's second gRPC client, because it is the one that can take a token from a file. */
function controlPlane({ address, tokenFile, rootCertFile }: DiscoveryInput): GrpcServiceJson {
  const token = packed<typeof FileBasedMetadataConfigSchema>(
    "envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
    { secretData: { filename: tokenFile }, headerKey: "authorization", headerPrefix: "Bearer " },
  );
  return {
    googleGrpc: {
      targetUri: address,
      statPrefix: "xds",
      channelCredentials: { sslCredentials: { rootCerts: { filename: rootCertFile } } },
      callCredentials: [{ fromPlugin: { name: FILE_BASED_METADATA, typedConfig: token } }],
      credentialsFactoryName: FILE_BASED_METADATA,
      channelArgs: { args: channelArgs() },
    },
    // A control plane that restarts should find its proxies back within seconds, and not all at the same instant.
    retryPolicy: { retryBackOff: { baseInterval: "0.5s", maxInterval: "3s" } },
  };
}

/** https://grpc.github.io/grpc/core/group__grpc__arg__keys.html */
function channelArgs() {
  const args = {
    // gRPC's own limit of 4 MB is less than the configuration of a large mesh.
    "grpc.max_receive_message_length": -1,
    // A control plane that vanished without a word, as with its node, is noticed within 8 seconds. Then one attempt at
    // it, for as long as Kubernetes takes it for well, must cost less than the 20 seconds that gRPC allows each.
    "grpc.keepalive_time_ms": 3000,
    "grpc.keepalive_timeout_ms": 5000,
    // By itself a minute, which counts where it is the longer of the two.
    "grpc.http2.ping_timeout_ms": 5000,
    "grpc.min_reconnect_backoff_ms": 4000,
    "grpc.http2.max_pings_without_data": 0,
    "grpc.initial_reconnect_backoff_ms": 500,
    "grpc.max_reconnect_backoff_ms": 3_000,
  };
  return Object.fromEntries(Object.entries(args).map(([name, value]) => [name, { intValue: String(value) }]));
}

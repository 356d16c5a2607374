import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { Cluster_DiscoveryType, ClusterSchema } from "../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { NodeSchema } from "../src/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { HttpConnectionManagerSchema } from "../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { TYPE_URL } from "../src/xds/resource-set.ts";
import { type DiscoveryAnswer, readAnswer } from "./discovery-answer.ts";

export interface ProxyOptions {
  /** host:port of plaintext ADS. */
  readonly target: string;
  readonly delta: boolean;
  readonly index: number;
  /** What its first CDS and LDS answers name, by type: decoded once, as every proxy here sees the same. */
  readonly names: Map<string, string[]>;
  onAnswer(message: Buffer): void;
  /** It has clusters, endpoints, listeners and routes. */
  onSynced(): void;
  onError(message: string): void;
}

/** One proxy's ADS stream: asks for clusters and listeners, then for what they name, and acknowledges every answer. */
export function openProxy({ target, delta, index, names, onAnswer, onSynced, onError }: ProxyOptions): void {
  const name = `load-${index}`;
  const node = create(NodeSchema, {
    id: `sidecar~10.250.${Math.floor(index / 250)}.${(index % 250) + 1}~${name}.default~default.svc.cluster.local`,
    cluster: "load.default",
    metadata: {
      NAMESPACE: "default",
      SERVICE_ACCOUNT: "default",
      CLUSTER_ID: "Kubernetes",
      ISTIO_VERSION: "1.30.0",
      LABELS: { app: name },
      NAME: name,
    },
  });
  const client = new Client(target, credentials.createInsecure(), {
    "grpc.max_receive_message_length": 1 << 28,
    // A connection of its own for each proxy, as real ones have.
    "grpc.use_local_subchannel_pool": 1,
  });
  const asIs = (bytes: Buffer) => bytes;
  const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
    `/envoy.service.discovery.v3.AggregatedDiscoveryService/${delta ? "Delta" : "Stream"}AggregatedResources`,
    asIs,
    asIs,
  );
  const subscribed = new Map<string, string[]>();
  const answered = new Set<string>();

  const request = (typeUrl: string, answer?: DiscoveryAnswer) => {
    const resourceNames = subscribed.get(typeUrl) ?? [];
    const responseNonce = answer?.nonce ?? "";
    const bytes = delta
      ? toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, {
            ...{ node, typeUrl, responseNonce },
            resourceNamesSubscribe: answer === undefined ? resourceNames : [],
          }),
        )
      : toBinary(
          DiscoveryRequestSchema,
          create(DiscoveryRequestSchema, {
            ...{ node, typeUrl, responseNonce, resourceNames },
            versionInfo: answer?.version ?? "",
          }),
        );
    stream.write(Buffer.from(bytes));
  };
  const subscribe = (typeUrl: string, resourceNames: string[]) => {
    subscribed.set(typeUrl, resourceNames);
    request(typeUrl);
  };

  stream.on("error", (error) => onError(error.message));
  stream.on("data", (message: Buffer) => {
    onAnswer(message);
    const answer = readAnswer(message, delta);
    request(answer.typeUrl, answer);
    if (answered.has(answer.typeUrl)) return;
    answered.add(answer.typeUrl);
    const follow = FOLLOW.get(answer.typeUrl);
    if (follow !== undefined) {
      const followed = names.get(answer.typeUrl) ?? follow.names(answer);
      names.set(answer.typeUrl, followed);
      if (followed.length === 0) answered.add(follow.typeUrl);
      else subscribe(follow.typeUrl, followed);
    }
    if (answered.size === FOLLOW.size * 2) onSynced();
  });
  subscribe(TYPE_URL.cluster, []);
  subscribe(TYPE_URL.listener, []);
}

/** Which type is asked for behind which, and by what names. */
const FOLLOW = new Map([
  [TYPE_URL.cluster as string, { typeUrl: TYPE_URL.endpoint, names: endpointNames }],
  [TYPE_URL.listener as string, { typeUrl: TYPE_URL.route, names: routeNames }],
]);

function endpointNames(answer: DiscoveryAnswer): string[] {
  return answer.resources().flatMap((bytes) => {
    const cluster = fromBinary(ClusterSchema, bytes);
    const isEds = cluster.clusterDiscoveryType.value === Cluster_DiscoveryType.EDS;
    return isEds ? [cluster.edsClusterConfig?.serviceName || cluster.name] : [];
  });
}

function routeNames(answer: DiscoveryAnswer): string[] {
  const names = new Set<string>();
  for (const bytes of answer.resources()) {
    const { filterChains, defaultFilterChain } = fromBinary(ListenerSchema, bytes);
    for (const chain of [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])]) {
      for (const { configType } of chain.filters) {
        if (configType.case !== "typedConfig") continue;
        const manager = anyUnpack(configType.value, HttpConnectionManagerSchema);
        if (manager?.routeSpecifier.case === "rds") names.add(manager.routeSpecifier.value.routeConfigName);
      }
    }
  }
  return [...names].sort();
}

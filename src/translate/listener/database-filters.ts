import { create } from "@bufbuild/protobuf";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { MongoProxySchema } from "../../gen/envoy/extensions/filters/network/mongo_proxy/v3/mongo_proxy_pb.ts";
import { RedisProxySchema } from "../../gen/envoy/extensions/filters/network/redis_proxy/v3/redis_proxy_pb.ts";
import { durationOfMs, typedConfig } from "../typed-config.ts";

/** Counts what is asked of a MongoDB, under `mongo.CLUSTER.`, and passes on what it reads as it is. */
export function mongoProxy(cluster: string): Filter {
  return create(FilterSchema, {
    name: "envoy.filters.network.mongo_proxy",
    configType: { case: "typedConfig", value: typedConfig(MongoProxySchema, { statPrefix: cluster }) },
  });
}

/** Istio's, for the answer to one command. */
const OP_TIMEOUT_MS = 5000;

/** Answers in the place of a Redis: each command goes to an endpoint of the cluster, and is counted under `redis.CLUSTER.`. */
export function redisProxy(cluster: string): Filter {
  return create(FilterSchema, {
    name: "envoy.filters.network.redis_proxy",
    configType: {
      case: "typedConfig",
      value: typedConfig(RedisProxySchema, {
        statPrefix: cluster,
        latencyInMicros: true,
        settings: { opTimeout: durationOfMs(OP_TIMEOUT_MS) },
        prefixRoutes: { catchAllRoute: { cluster } },
      }),
    },
  });
}

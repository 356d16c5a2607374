import { create } from "@bufbuild/protobuf";
import { type Filter, FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { LocalRateLimitSchema } from "../../gen/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RateLimitSchema } from "../../gen/envoy/extensions/filters/network/ratelimit/v3/rate_limit_pb.ts";
import {
  type ConnectionLimit,
  type CountedBy,
  type RateLimit,
  rateLimitDomain,
} from "../../mesh/trysail/rate-limit.ts";
import { typedConfig } from "../typed-config.ts";
import { rateLimitFilterName } from "./rate-limit-name.ts";
import { type CountingService, rateLimitServiceOptions } from "./rate-limit-service.ts";
import { tokenBucket } from "./token-bucket.ts";

/** Limits of new connections that the proxy counts itself, together for all filter chains of a port. */
export function localConnections(
  policy: RateLimit,
  limits: readonly ConnectionLimit[],
  port: number | undefined,
): Filter[] {
  return limits
    .filter(({ scope }) => scope === "PROXY")
    .map(({ name, rate }) =>
      create(FilterSchema, {
        name: rateLimitFilterName("envoy.filters.network.local_ratelimit", policy, name),
        configType: {
          case: "typedConfig",
          value: typedConfig(LocalRateLimitSchema, {
            statPrefix: statPrefix(policy),
            tokenBucket: tokenBucket(rate),
            shareKey: `${rateLimitDomain(policy)}/${name}:${port ?? "other"}`,
          }),
        },
      }),
    );
}

/** One filter, and so one question to the service for each connection, for all that an object has counted there. */
export function globalConnections(
  policy: RateLimit,
  limits: readonly ConnectionLimit[],
  service: CountingService,
): Filter[] {
  const asked = limits.filter(({ scope }) => scope === "GLOBAL");
  if (asked.length === 0) return [];
  const filter = typedConfig(RateLimitSchema, {
    statPrefix: statPrefix(policy),
    domain: rateLimitDomain(policy),
    ...rateLimitServiceOptions(policy.spec.service, service),
    descriptors: asked.map(({ name, by = [] }) => ({
      entries: [{ key: "limit", value: name }, ...by.map(entry)],
    })),
  });
  return [
    create(FilterSchema, {
      name: rateLimitFilterName("envoy.filters.network.ratelimit", policy),
      configType: { case: "typedConfig", value: filter },
    }),
  ];
}

/** Nothing else is known when a connection begins, and nothing else passes `checkRateLimit`. */
function entry(counted: CountedBy) {
  if ("constant" in counted) return { key: "constant", value: counted.constant };
  return { key: "remote_address", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" };
}

function statPrefix({ metadata }: RateLimit): string {
  return `${metadata.namespace}_${metadata.name}`;
}

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { XRateLimitHeadersRFCVersion } from "../../gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts";
import { LocalRateLimitSchema } from "../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import {
  RateLimit_XRateLimitHeadersRFCVersion,
  RateLimitSchema,
} from "../../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { StatusCode } from "../../gen/envoy/type/v3/http_status_pb.ts";
import { FractionalPercent_DenominatorType } from "../../gen/envoy/type/v3/percent_pb.ts";
import { type Exceeded, type RateLimit, type RequestLimit, rateLimitDomain } from "../../mesh/trysail/rate-limit.ts";
import { typedConfig } from "../typed-config.ts";
import { expectedEntries, limitName, requestActions } from "./rate-limit-actions.ts";
import { rateLimitFilterName } from "./rate-limit-name.ts";
import { type CountingService, rateLimitServiceOptions } from "./rate-limit-service.ts";
import { tokenBucket } from "./token-bucket.ts";

/** Counts that one limit keeps in a proxy for different values; past it, those that were used least lately begin anew. */
const MAX_COUNTS = 10_000;

/** A filter for each limit whose tokens the proxy has itself, so that all of them must let a request through. */
export function localRequests(policy: RateLimit, limits: readonly RequestLimit[]): HttpFilter[] {
  return limits.filter(({ scope }) => scope !== "GLOBAL").map((limit) => localFilter(policy, limit));
}

function localFilter(policy: RateLimit, limit: RequestLimit): HttpFilter {
  const { exceeded = {}, showLimits = false } = policy.spec;
  const bucket = tokenBucket(limit.rate);
  const entries = expectedEntries(limit);
  return httpFilter(
    rateLimitFilterName("envoy.filters.http.local_ratelimit", policy, limit.name),
    typedConfig(LocalRateLimitSchema, {
      statPrefix: "http_local_rate_limiter",
      status: { code: statusOf(exceeded) },
      ...(entries.length === 0
        ? { tokenBucket: bucket }
        : {
            rateLimits: [requestActions(limit)],
            descriptors: [{ entries, tokenBucket: bucket }],
            // What fits no descriptor is not counted.
            alwaysConsumeDefaultTokenBucket: false,
            maxDynamicDescriptors: MAX_COUNTS,
          }),
      filterEnabled: percent(100),
      filterEnforced: percent(limit.shadow === true ? 0 : 100),
      localRateLimitPerDownstreamConnection: limit.scope === "CONNECTION",
      responseHeadersToAdd: headersToAdd(exceeded),
      rateLimitedAsResourceExhausted: true,
      enableXRatelimitHeaders: showLimits
        ? XRateLimitHeadersRFCVersion.DRAFT_VERSION_03
        : XRateLimitHeadersRFCVersion.OFF,
    }),
  );
}

/** One filter, and so one question to the service for each request, for all that an object has counted there. */
export function globalRequests(
  policy: RateLimit,
  limits: readonly RequestLimit[],
  service: CountingService,
): HttpFilter[] {
  const asked = limits.filter(({ scope }) => scope === "GLOBAL");
  if (asked.length === 0) return [];
  const { exceeded = {}, showLimits = false } = policy.spec;
  const filter = typedConfig(RateLimitSchema, {
    domain: rateLimitDomain(policy),
    ...rateLimitServiceOptions(policy.spec.service, service),
    rateLimits: asked.map((limit) => requestActions(limit, [limitName(limit.name)])),
    rateLimitedStatus: { code: statusOf(exceeded) },
    responseHeadersToAdd: headersToAdd(exceeded),
    rateLimitedAsResourceExhausted: true,
    enableXRatelimitHeaders: showLimits
      ? RateLimit_XRateLimitHeadersRFCVersion.DRAFT_VERSION_03
      : RateLimit_XRateLimitHeadersRFCVersion.OFF,
  });
  return [httpFilter(rateLimitFilterName("envoy.filters.http.ratelimit", policy), filter)];
}

function httpFilter(name: string, value: ReturnType<typeof typedConfig>): HttpFilter {
  return create(HttpFilterSchema, { name, configType: { case: "typedConfig", value } });
}

function statusOf({ status }: Exceeded): StatusCode {
  return Object.values(StatusCode).find((known) => known === status) ?? StatusCode.TooManyRequests;
}

function headersToAdd({ headers = {} }: Exceeded) {
  return Object.entries(headers)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({
      header: { key, value: value.replaceAll("%", "%%") },
      appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    }));
}

function percent(numerator: number): MessageInitShape<typeof LocalRateLimitSchema>["filterEnabled"] {
  return { defaultValue: { numerator, denominator: FractionalPercent_DenominatorType.HUNDRED } };
}

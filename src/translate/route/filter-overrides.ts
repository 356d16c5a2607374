import { create } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { CorsPolicySchema } from "../../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { type HTTPFault, HTTPFaultSchema } from "../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { GRPC_STATUS } from "../../mesh/grpc-status.ts";
import type { CorsPolicy, HttpFaultInjection } from "../../mesh/istio/http-policies.ts";
import type { HttpRoute } from "../../mesh/istio/http-route.ts";
import { ownValue } from "../../mesh/own-value.ts";
import { CORS_FILTER, FAULT_FILTER } from "../names.ts";
import { durationOfMs, parseDurationMs, typedConfig } from "../typed-config.ts";
import { fraction } from "./fraction.ts";
import { stringMatcher } from "./string-matcher.ts";

/** What a route has the HTTP filters before the router do, by the filter's name. */
export function filterOverrides({ fault, corsPolicy }: HttpRoute): Record<string, Any> {
  return {
    ...(fault === undefined ? {} : { [FAULT_FILTER]: anyPack(HTTPFaultSchema, httpFault(fault)) }),
    ...(corsPolicy === undefined ? {} : { [CORS_FILTER]: cors(corsPolicy) }),
  };
}

function httpFault({ delay, abort }: HttpFaultInjection): HTTPFault {
  return create(HTTPFaultSchema, {
    ...(delay === undefined
      ? {}
      : {
          delay: {
            faultDelaySecifier: { case: "fixedDelay", value: durationOfMs(parseDurationMs(delay.fixedDelay)) },
            percentage: fraction(delay.percentage?.value ?? delay.percent ?? 0),
          },
        }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            errorType:
              abort.grpcStatus === undefined
                ? { case: "httpStatus", value: abort.httpStatus ?? 503 }
                : { case: "grpcStatus", value: ownValue(GRPC_STATUS, abort.grpcStatus) ?? 2 },
            percentage: fraction(abort.percentage?.value ?? 0),
          },
        }),
  });
}

function cors(policy: CorsPolicy): Any {
  const { allowOrigins, allowOrigin = [], unmatchedPreflights = "UNSPECIFIED" } = policy;
  const origins = allowOrigins ?? allowOrigin.map((exact) => (exact === "*" ? { regex: ".*" } : { exact }));
  return typedConfig(CorsPolicySchema, {
    allowOriginStringMatch: origins.map(stringMatcher),
    allowMethods: (policy.allowMethods ?? []).join(","),
    allowHeaders: (policy.allowHeaders ?? []).join(","),
    exposeHeaders: (policy.exposeHeaders ?? []).join(","),
    maxAge: policy.maxAge === undefined ? "" : String(parseDurationMs(policy.maxAge) / 1000),
    ...(policy.allowCredentials === undefined ? {} : { allowCredentials: policy.allowCredentials }),
    filterEnabled: { defaultValue: fraction(100) },
    ...(unmatchedPreflights === "UNSPECIFIED"
      ? {}
      : { forwardNotMatchingPreflights: unmatchedPreflights === "FORWARD" }),
  });
}

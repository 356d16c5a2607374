import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ClusterSchema } from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import {
  type OutlierDetection as EnvoyOutlierDetection,
  OutlierDetectionSchema,
} from "../../gen/envoy/config/cluster/v3/outlier_detection_pb.ts";
import type { OutlierDetection } from "../../mesh/istio/traffic-policy.ts";
import { durationOfMs, parseDurationMs } from "../typed-config.ts";

/**
 * When an endpoint is left out for a while. Only what Istio documents counts errors: Envoy's statistics over success
 * rates stay off.
 */
export function outlierDetection(
  settings: OutlierDetection | undefined,
): Pick<MessageInitShape<typeof ClusterSchema>, "outlierDetection" | "commonLbConfig"> {
  if (settings === undefined) return {};
  const { interval, baseEjectionTime, maxEjectionPercent, minHealthPercent = 0 } = settings;
  return {
    outlierDetection: create(OutlierDetectionSchema, {
      ...consecutiveErrors(settings),
      ...localErrors(settings),
      enforcingSuccessRate: 0,
      ...(interval === undefined ? {} : { interval: durationOfMs(parseDurationMs(interval)) }),
      ...(baseEjectionTime === undefined ? {} : { baseEjectionTime: durationOfMs(parseDurationMs(baseEjectionTime)) }),
      ...(maxEjectionPercent ? { maxEjectionPercent } : {}),
    }),
    // Where fewer than these are healthy, Envoy sends to all: at its default of half, a rule for two pods would not hold.
    commonLbConfig: { healthyPanicThreshold: { value: minHealthPercent } },
  };
}

type Counts = Partial<Omit<EnvoyOutlierDetection, "$typeName" | "$unknown">>;

/** Zero turns a count off. */
function consecutiveErrors(settings: OutlierDetection): Counts {
  const { consecutive5xxErrors, consecutiveGatewayErrors = settings.consecutiveErrors } = settings;
  return {
    ...(consecutive5xxErrors === undefined
      ? {}
      : { consecutive5xx: consecutive5xxErrors, enforcingConsecutive5xx: consecutive5xxErrors > 0 ? 100 : 0 }),
    ...(consecutiveGatewayErrors === undefined
      ? {}
      : {
          consecutiveGatewayFailure: consecutiveGatewayErrors,
          enforcingConsecutiveGatewayFailure: consecutiveGatewayErrors > 0 ? 100 : 0,
        }),
  };
}

/** Connections that fail, counted apart from what the endpoint answers. */
function localErrors(settings: OutlierDetection): Counts {
  if (settings.splitExternalLocalOriginErrors !== true) return {};
  const { consecutiveLocalOriginFailures: count = 0 } = settings;
  return {
    splitExternalLocalOriginErrors: true,
    enforcingLocalOriginSuccessRate: 0,
    ...(count > 0 ? { consecutiveLocalOriginFailure: count, enforcingConsecutiveLocalOriginFailure: 100 } : {}),
  };
}

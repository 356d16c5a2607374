import { create } from "@bufbuild/protobuf";
import {
  HeaderMatcherSchema,
  type RetryPolicy,
  RetryPolicySchema,
} from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { PreviousHostsPredicateSchema } from "../../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts";
import { PreviousPrioritiesConfigSchema } from "../../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts";
import type { HttpRetry } from "../../mesh/istio/http-policies.ts";
import { UNREACHED_HEADER } from "../names.ts";
import { durationOfMs, parseDurationMs, typedConfig } from "../typed-config.ts";

/**
 * What Istio retries unasked: only requests that surely did nothing yet. A 503 of the application's is not among them,
 * since it may have come late; one that its sidecar gave because the application takes no connections says so itself.
 */
const DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const unreached = create(HeaderMatcherSchema, {
  name: UNREACHED_HEADER,
  headerMatchSpecifier: { case: "presentMatch", value: true },
});

const previousHosts = {
  name: "envoy.retry_host_predicates.previous_hosts",
  configType: { case: "typedConfig" as const, value: typedConfig(PreviousHostsPredicateSchema, {}) },
};

/** Each second retry goes to localities of a lower priority than those that were tried. */
const previousPriorities = {
  name: "envoy.retry_priorities.previous_priorities",
  configType: {
    case: "typedConfig" as const,
    value: typedConfig(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }),
  },
};

/**
 * Null is Istio's default of two attempts; `retries` without attempts, or with 0, is none at all: null. A retry goes to
 * another endpoint, but where the destination `isHashed`: whom the hash chose is asked again.
 */
export function buildRetryPolicy(retries: HttpRetry | null, isHashed: boolean): RetryPolicy | null {
  // Most routes say nothing of retries: theirs is made once.
  if (retries === null) return isHashed ? unaskedOfOne : unasked;
  const { attempts = 0 } = retries;
  return attempts === 0 ? null : retryPolicy(attempts, { retryIgnorePreviousHosts: !isHashed, ...retries });
}

function retryPolicy(attempts: number, retries: HttpRetry): RetryPolicy {
  const { retryOn = "", retryIgnorePreviousHosts = true } = retries;
  const { conditions, statusCodes } = parseRetryOn(retryOn);
  return create(RetryPolicySchema, {
    retryOn: conditions,
    retriableStatusCodes: statusCodes,
    ...(retryOn === "" ? { retriableHeaders: [unreached] } : {}),
    numRetries: attempts,
    ...(retryIgnorePreviousHosts ? { retryHostPredicate: [previousHosts], hostSelectionRetryMaxAttempts: 5n } : {}),
    ...(retries.retryRemoteLocalities === true ? { retryPriority: previousPriorities } : {}),
    ...(retries.backoff === undefined
      ? {}
      : { retryBackOff: { baseInterval: durationOfMs(parseDurationMs(retries.backoff)) } }),
    ...(retries.perTryTimeout === undefined
      ? {}
      : { perTryTimeout: durationOfMs(parseDurationMs(retries.perTryTimeout)) }),
  });
}

const STATUS_CODE = /^[1-9][0-9]{2}$/;
const unasked = retryPolicy(2, {});
const unaskedOfOne = retryPolicy(2, { retryIgnorePreviousHosts: false });

/** Istio lets numbers stand among the conditions: they are status codes to retry. */
function parseRetryOn(retryOn: string): { conditions: string; statusCodes: number[] } {
  if (retryOn === "") return { conditions: `${DEFAULT_RETRY_ON},retriable-headers`, statusCodes: [] };
  const parts = retryOn.split(",").map((part) => part.trim());
  const statusCodes = parts.filter((part) => STATUS_CODE.test(part)).map(Number);
  const conditions = parts.filter((part) => !STATUS_CODE.test(part));
  if (statusCodes.length > 0 && !conditions.includes("retriable-status-codes"))
    conditions.push("retriable-status-codes");
  return { conditions: conditions.join(","), statusCodes };
}

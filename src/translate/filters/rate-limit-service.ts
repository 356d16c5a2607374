import { ApiVersion } from "../../gen/envoy/config/core/v3/config_source_pb.ts";
import type { RateLimitService } from "../../mesh/trysail/rate-limit.ts";
import { durationOfMs, parseDurationMs } from "../typed-config.ts";

/** Long enough for a busy machine; a request waits no longer for an answer. */
const TIMEOUT_MS = 100;

/** Whom a filter asks. */
export interface CountingService {
  readonly cluster: string;
  /** By what name it is asked; that of the cluster is none that HTTP/2 servers take. */
  readonly authority: string;
}

/**
 * How a filter asks the service. Where it does not answer, requests pass unless the object says DENY, as is Envoy's own
 * default: a limit guards capacity, and its counter's absence should not be the outage that it was to prevent.
 */
export function rateLimitServiceOptions(
  { timeout, failureMode }: RateLimitService = {},
  { cluster, authority }: CountingService,
) {
  return {
    timeout: durationOfMs(timeout === undefined ? TIMEOUT_MS : parseDurationMs(timeout)),
    failureModeDeny: failureMode === "DENY",
    rateLimitService: {
      grpcService: { targetSpecifier: { case: "envoyGrpc" as const, value: { clusterName: cluster, authority } } },
      transportApiVersion: ApiVersion.V3,
    },
  };
}

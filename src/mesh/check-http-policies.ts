import { isHeaderName } from "./check-header-operations.ts";
import { GRPC_STATUS } from "./grpc-status.ts";
import type { CorsPolicy, HttpFaultInjection, HttpRetry } from "./istio/http-policies.ts";
import type { HttpRoute } from "./istio/http-route.ts";
import { ownValue } from "./own-value.ts";
import { error, type Problem, warning } from "./problem.ts";

/** What Istio refuses of an HTTP route's faults, mirrors, CORS policy and retries, and what has no effect in them. */
export function checkHttpPolicies(route: HttpRoute, path: string): Problem[] {
  return [
    ...(route.fault === undefined ? [] : checkFault(route.fault, `${path}.fault`)),
    ...checkMirrors(route, path),
    ...(route.corsPolicy === undefined ? [] : checkCors(route.corsPolicy, `${path}.corsPolicy`)),
    ...(route.retries === undefined ? [] : checkRetries(route.retries, `${path}.retries`)),
  ];
}

function checkFault({ delay, abort }: HttpFaultInjection, path: string): Problem[] {
  if (delay === undefined && abort === undefined) return [error(path, "says nothing: give it a delay or an abort")];
  const problems: Problem[] = [];
  if (abort !== undefined) {
    const { httpStatus, grpcStatus, percentage } = abort;
    if ((httpStatus === undefined) === (grpcStatus === undefined)) {
      problems.push(error(`${path}.abort`, "must have either an httpStatus or a grpcStatus"));
    }
    if (grpcStatus !== undefined && ownValue(GRPC_STATUS, grpcStatus) === undefined) {
      const names = Object.keys(GRPC_STATUS).join(", ");
      problems.push(error(`${path}.abort.grpcStatus`, `must be one of ${names}, but is ${JSON.stringify(grpcStatus)}`));
    }
    if (percentage?.value === undefined)
      problems.push(warning(`${path}.abort`, "has no percentage, so it aborts no request"));
  }
  if (delay !== undefined && delay.percentage?.value === undefined && delay.percent === undefined) {
    problems.push(warning(`${path}.delay`, "has no percentage, so it delays no request"));
  }
  return problems;
}

function checkMirrors({ mirror, mirrors, mirrorPercentage, mirrorPercent }: HttpRoute, path: string): Problem[] {
  if (mirror !== undefined && mirrors !== undefined) {
    return [error(path, "has both a mirror and mirrors: keep one of them")];
  }
  const share = mirrorPercentage === undefined ? "mirrorPercent" : "mirrorPercentage";
  if (mirror !== undefined || (mirrorPercentage === undefined && mirrorPercent === undefined)) return [];
  return [warning(`${path}.${share}`, "has no effect without a mirror")];
}

/** Methods that browsers ask for: https://www.rfc-editor.org/rfc/rfc9110#name-methods and PATCH. */
const METHODS: ReadonlySet<string> = new Set("* CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT TRACE".split(" "));

function checkCors(policy: CorsPolicy, path: string): Problem[] {
  const problems: Problem[] = [];
  for (const [index, method] of (policy.allowMethods ?? []).entries()) {
    if (METHODS.has(method)) continue;
    problems.push(error(`${path}.allowMethods[${index}]`, `is no method of HTTP's, but ${JSON.stringify(method)}`));
  }
  for (const field of ["allowHeaders", "exposeHeaders"] as const) {
    for (const [index, name] of (policy[field] ?? []).entries()) {
      if (!isHeaderName(name)) problems.push(error(`${path}.${field}[${index}]`, "is not a header's name"));
    }
  }
  if (policy.maxAge !== undefined && /[0-9](ms|us|ns)|\./.test(policy.maxAge)) {
    problems.push(error(`${path}.maxAge`, "must be of whole seconds, which is what browsers are told"));
  }
  return problems;
}

/** Envoy's conditions: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter */
const RETRY_ON: ReadonlySet<string> = new Set(
  `5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx refused-stream
  retriable-status-codes retriable-headers http3-post-connect-failure
  cancelled deadline-exceeded internal resource-exhausted unavailable`.split(/\s+/),
);

function checkRetries(retries: HttpRetry, path: string): Problem[] {
  const { attempts = 0, perTryTimeout, retryOn = "", retryRemoteLocalities } = retries;
  if (attempts === 0 && (perTryTimeout ?? retryRemoteLocalities ?? (retryOn || undefined)) !== undefined) {
    return [error(path, "says how to retry, but has no attempts: give it attempts, or nothing else")];
  }
  const unknown = (retryOn === "" ? [] : retryOn.split(","))
    .map((part) => part.trim())
    .filter((part) => !RETRY_ON.has(part) && !/^[1-5][0-9]{2}$/.test(part));
  if (unknown.length === 0) return [];
  const known = [...RETRY_ON].join(", ");
  return [error(`${path}.retryOn`, `has ${JSON.stringify(unknown[0])}: it must be of status codes and of ${known}`)];
}

import { STATUS_CODES } from "node:http";
import { isRecord } from "../mesh/conform.ts";
import { type ErrorCode, TrysailError } from "../platform/errors.ts";

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: "invalid-argument",
  401: "unauthenticated",
  403: "permission-denied",
  404: "not-found",
  // A resourceVersion or a continue token that the server no longer knows: list anew.
  410: "failed-precondition",
  409: "aborted",
  412: "aborted",
  413: "invalid-argument",
  415: "invalid-argument",
  422: "invalid-argument",
  429: "resource-exhausted",
};

/**
 * What the API server's refusal means to the caller. `status` is the HTTP status, `body` the `Status` object that came
 * with it: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
 */
export function apiError(what: string, status: number, body: unknown): TrysailError {
  const { reason, message } = isRecord(body) ? body : {};
  const code = reason === "AlreadyExists" ? "already-exists" : (BY_STATUS[status] ?? "unavailable");
  const said =
    typeof message === "string" && message !== ""
      ? message
      : `HTTP status ${status} ${STATUS_CODES[status] ?? ""}`.trim();
  return new TrysailError(code, `${what}: ${said.slice(0, 1000)}`);
}

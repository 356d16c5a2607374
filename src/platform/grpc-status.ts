import { status } from "@grpc/grpc-js";
import { type ErrorCode, TrysailError } from "./errors.ts";

const STATUS: Readonly<Record<ErrorCode, status>> = {
  "invalid-argument": status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  "permission-denied": status.PERMISSION_DENIED,
  "not-found": status.NOT_FOUND,
  "already-exists": status.ALREADY_EXISTS,
  aborted: status.ABORTED,
  "failed-precondition": status.FAILED_PRECONDITION,
  "resource-exhausted": status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  internal: status.INTERNAL,
};

/** How a gRPC caller is told of anything thrown; what is not a TrysailError is told as "internal error" alone. */
export function grpcStatusOf(thrown: unknown): { code: status; details: string } {
  if (thrown instanceof TrysailError) return { code: STATUS[thrown.code], details: thrown.message };
  return { code: status.INTERNAL, details: "internal error" };
}

import { type ErrorCode, TrysailError } from "./errors.ts";

const STATUS: Readonly<Record<ErrorCode, number>> = {
  "invalid-argument": 400,
  unauthenticated: 401,
  "permission-denied": 403,
  "not-found": 404,
  "already-exists": 409,
  aborted: 409,
  "failed-precondition": 409,
  "resource-exhausted": 429,
  unavailable: 503,
  internal: 500,
};

/** How an HTTP caller is told of anything thrown; what is not a TrysailError is told as "internal error" alone. */
export function httpStatusOf(thrown: unknown): { status: number; message: string } {
  if (thrown instanceof TrysailError) return { status: STATUS[thrown.code], message: thrown.message };
  return { status: 500, message: "internal error" };
}

import { type ErrorCode, TrysailError } from "../../platform/errors.ts";
import { Refusal, type RefusalReason } from "../refusal.ts";

/** An error on its way to another thread: of errors that are copied, only text, stack and cause arrive. */
export interface ThrownMessage {
  readonly error: Error;
  readonly code?: ErrorCode;
  readonly reason?: RefusalReason;
}

export function thrownMessage(thrown: unknown): ThrownMessage {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (error instanceof Refusal) return { error, code: error.code, reason: error.reason };
  return error instanceof TrysailError ? { error, code: error.code } : { error };
}

/** The same as it was thrown. */
export function errorOf({ error, code, reason }: ThrownMessage): Error {
  const cause = { cause: error.cause };
  if (reason !== undefined) return new Refusal(reason, error.message, cause);
  return code === undefined ? error : new TrysailError(code, error.message, cause);
}

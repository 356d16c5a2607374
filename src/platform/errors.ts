/** What went wrong, in the words of the gRPC status codes; each edge (gRPC, HTTP, command line) maps it once. */
export type ErrorCode =
  | "invalid-argument"
  | "unauthenticated"
  | "permission-denied"
  | "not-found"
  | "already-exists"
  /** Somebody else changed it in between: read it again, then try again. */
  | "aborted"
  | "failed-precondition"
  | "resource-exhausted"
  | "unavailable"
  | "internal";

/**
 * The one error class that crosses a module's edge. `message` is what the caller may read; the reason that only
 * the log may hold goes into `cause`.
 */
export class TrysailError extends Error {
  override readonly name = "TrysailError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}

/** The text of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

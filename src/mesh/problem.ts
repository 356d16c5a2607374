import type { Mismatch } from "./conform.ts";

/** A rule of an object's kind that its schema cannot say. An `error` means that the object is not used. */
export interface Problem extends Mismatch {
  readonly severity: "error" | "warning";
  /** A warning about what is stored already, and a reason not to let it be written. */
  readonly isRefused?: true;
}

export function error(path: string, reason: string): Problem {
  return { severity: "error", path, reason };
}

export function warning(path: string, reason: string): Problem {
  return { severity: "warning", path, reason };
}

/**
 * What Istio's own validation refuses though its meaning is clear. Nobody may write it, and where it is stored all the same,
 * as Istio would use it, it is used: a mesh that moves here must lose no route over it.
 */
export function refusal(path: string, reason: string): Problem {
  return { severity: "warning", path, reason, isRefused: true };
}

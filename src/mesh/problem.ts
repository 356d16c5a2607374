import type { Mismatch } from "./conform.ts";

/** A rule of an object's kind that its schema cannot say. An `error` means that the object is not used. */
export interface Problem extends Mismatch {
  readonly severity: "error" | "warning";
}

export function error(path: string, reason: string): Problem {
  return { severity: "error", path, reason };
}

export function warning(path: string, reason: string): Problem {
  return { severity: "warning", path, reason };
}

import type { ObjectRef } from "../mesh/finding.ts";

/**
 * What became of one object, in the form of `istio.io/api/meta/v1alpha1.IstioStatus`. Its conditions carry names that
 * Istio and the Gateway API have for them; docs/status.md says what each means.
 */
export interface ObjectStatus {
  readonly object: ObjectRef;
  /** Absent where no version of the object was ever accepted. */
  readonly uid?: string;
  /** The version that this is about; absent for objects that have none, as in folders. */
  readonly observedGeneration?: number;
  readonly conditions: readonly Condition[];
  readonly validationMessages: readonly ValidationMessage[];
}

/** Every object has one of each. */
export const CONDITION_TYPES = ["Accepted", "ResolvedRefs", "Conflicted", "Programmed", "Reconciled"] as const;

export interface Condition {
  readonly type: (typeof CONDITION_TYPES)[number];
  readonly status: "True" | "False" | "Unknown";
  /** UpperCamelCase, stable. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
  /** The version of the object that the condition is about. */
  readonly observedGeneration?: number;
}

/** `istio.io/api/analysis/v1alpha1.AnalysisMessageBase`. */
export interface ValidationMessage {
  readonly type: { readonly name: string; readonly code: string };
  readonly level: "ERROR" | "WARNING" | "INFO";
}

/** `SchemaInvalid` for `schema-invalid`. */
export function upperCamel(code: string): string {
  return code.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

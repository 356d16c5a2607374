import { describeObject, type Finding, type FindingCode, type ObjectRef, type Origin } from "./finding.ts";
import { gravestFirst } from "./gravest-first.ts";

/** At most this many findings for one object: past it, more of the same help nobody. */
export const MAX_FINDINGS = 10;

/** What a finding is about, as far as the document got. */
export interface Place {
  readonly origin: Origin | undefined;
  readonly object?: ObjectRef | undefined;
  readonly generation?: number | undefined;
  readonly field?: string;
}

/** Not all where there are many, and then that there are. */
export function gravest(findings: readonly Finding[]): readonly Finding[] {
  const ordered = gravestFirst(findings, ({ code }) => code);
  const next = ordered[MAX_FINDINGS];
  if (next === undefined) return ordered;
  const { field, message, ...place } = next;
  const reason = `there is more to tell than these ${MAX_FINDINGS}: correct them first`;
  const more = findingAt(next.severity, next.code, reason, { origin: undefined, ...place });
  return [...ordered.slice(0, MAX_FINDINGS), more];
}

export function hasError(findings: readonly Finding[]): boolean {
  return findings.some(({ severity }) => severity === "error");
}

/** A finding whose message names the object, where it is known. */
export function findingAt(severity: Finding["severity"], code: FindingCode, message: string, place: Place): Finding {
  const { origin, object, generation, field } = place;
  return Object.freeze({
    severity,
    code,
    message: object === undefined ? message : `${describeObject(object)}: ${message}`,
    ...(origin === undefined ? {} : { origin }),
    ...(object === undefined ? {} : { object }),
    ...(generation === undefined ? {} : { generation }),
    ...(field === undefined ? {} : { field }),
  });
}

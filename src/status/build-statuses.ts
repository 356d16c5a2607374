import { describeObject, type Finding, type ObjectRef } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { compareText, refOf } from "../mesh/object.ts";
import { kindSchemaOf } from "../mesh/schemas.ts";
import { addToList } from "../platform/add-to-list.ts";
import { buildConditions } from "./conditions.ts";
import type { Distributions } from "./distribution.ts";
import { type ObjectStatus, upperCamel, type ValidationMessage } from "./object-status.ts";

export interface StatusInput {
  /** The objects that are in use. */
  readonly objects: readonly KnownObject[];
  /** What is wrong with them, and with those of which no version is in use. */
  readonly findings: readonly Finding[];
  readonly distributions: Distributions;
}

const LEVELS = { error: "ERROR", warning: "WARNING", info: "INFO" } as const;

/** What became of every object that configures the mesh, in order of kind, namespace and name. */
export function buildStatuses({ objects, findings, distributions }: StatusInput): readonly ObjectStatus[] {
  const byObject = new Map<string, Finding[]>();
  const refs = new Map<string, ObjectRef>();
  for (const finding of findings) {
    if (finding.object === undefined || !isConfiguration(finding.object.kind)) continue;
    const key = describeObject(finding.object);
    refs.set(key, finding.object);
    addToList(byObject, key, finding);
  }
  const inUse = new Map(
    objects.filter(({ kind }) => isConfiguration(kind)).map((one) => [describeObject(refOf(one)), one]),
  );
  for (const [key, object] of inUse) refs.set(key, refOf(object));
  const keys = [...refs].sort(([, a], [, b]) => byName(a, b));
  return keys.map(([key, ref]) => statusOf(ref, inUse.get(key), byObject.get(key) ?? [], distributions.get(key)));
}

/** Whether objects of the kind are the mesh's own configuration, which has a status; Services and pods have others'. */
export function isConfiguration(kind: string): boolean {
  return kindSchemaOf(kind)?.istio === true;
}

function statusOf(
  ref: ObjectRef,
  object: KnownObject | undefined,
  findings: readonly Finding[],
  distribution: ReturnType<Distributions["get"]>,
): ObjectStatus {
  const { uid, generation: inUse } = object?.metadata ?? {};
  const observed = Math.max(inUse ?? 0, ...findings.map(({ generation = 0 }) => generation));
  // What was found of an older version no longer counts.
  const current = findings.filter(({ generation }) => generation === undefined || generation === observed);
  return {
    object: ref,
    ...(uid === undefined ? {} : { uid }),
    ...(observed === 0 ? {} : { observedGeneration: observed }),
    conditions: buildConditions({ observed, object, findings: current, distribution }),
    validationMessages: current.map(validationMessage),
  };
}

function validationMessage({ code, severity }: Finding): ValidationMessage {
  return { type: { name: upperCamel(code), code }, level: LEVELS[severity] };
}

function byName(a: ObjectRef, b: ObjectRef): number {
  return compareText(a.kind, b.kind) || compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

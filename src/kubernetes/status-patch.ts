import { isRecord } from "../mesh/conform.ts";
import { CONDITION_TYPES, type Condition, type ObjectStatus } from "../status/object-status.ts";
import type { KubernetesObject } from "./object.ts";

/** How urgently a status is to be written. */
export type StatusDifference = "none" | "numbers" | "verdict";

/**
 * Compares what an object's status says with what it is to say. Only what a CRD of Istio's keeps counts, whatever its
 * age, and conditions of others do not count. `numbers` is where messages alone differ, as when one more proxy came.
 */
export function statusDifference(status: unknown, wanted: ObjectStatus): StatusDifference {
  const { observedGeneration, conditions, validationMessages } = isRecord(status) ? status : {};
  const held = ownConditions(conditions);
  if (Number(observedGeneration ?? 0) !== (wanted.observedGeneration ?? 0)) return "verdict";
  const isSaid = wanted.conditions.every(({ type, status, reason }) => {
    const known = held.get(type);
    return known?.status === status && known.reason === reason;
  });
  if (!isSaid || messagesText(validationMessages) !== messagesText(wanted.validationMessages)) return "verdict";
  return wanted.conditions.every(({ type, message }) => held.get(type)?.message === message) ? "none" : "numbers";
}

/**
 * A merge patch that makes it so. It holds for the version of the object that was seen and fails with a conflict for any
 * other, so that conditions of others, which a merge patch must repeat, cannot be lost.
 */
export function statusPatch({ metadata, status }: KubernetesObject, wanted: ObjectStatus, nowMs: number): object {
  const { conditions } = isRecord(status) ? status : {};
  const held = ownConditions(conditions);
  const others = listOf(conditions).filter((condition) => !isOwn(condition));
  return {
    metadata: { resourceVersion: metadata.resourceVersion },
    status: {
      ...(wanted.observedGeneration === undefined ? {} : { observedGeneration: wanted.observedGeneration }),
      conditions: [...others, ...wanted.conditions.map((condition) => withTime(condition, held, nowMs))],
      validationMessages: wanted.validationMessages,
    },
  };
}

/** When a condition's status changed last; what its reason and message say may change in between. */
function withTime(condition: Condition, held: ReadonlyMap<unknown, Record<string, unknown>>, nowMs: number): object {
  const { status, lastTransitionTime } = held.get(condition.type) ?? {};
  const isSame = status === condition.status && typeof lastTransitionTime === "string";
  // Kubernetes' times have no fractions of a second.
  const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z");
  return { ...condition, lastTransitionTime: isSame ? lastTransitionTime : now };
}

function ownConditions(conditions: unknown): ReadonlyMap<unknown, Record<string, unknown>> {
  return new Map(listOf(conditions).flatMap((one) => (isOwn(one) ? [[one.type, one] as const] : [])));
}

function isOwn(condition: unknown): condition is Record<string, unknown> {
  return isRecord(condition) && CONDITION_TYPES.some((type) => type === condition.type);
}

function messagesText(messages: unknown): string {
  return listOf(messages)
    .map((message) => {
      const { type, level } = isRecord(message) ? message : {};
      return `${isRecord(type) ? String(type.code) : ""} ${String(level)}`;
    })
    .join();
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

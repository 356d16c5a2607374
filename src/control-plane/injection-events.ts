import type { ReviewOutcome } from "../injection/admit.ts";
import type { DecisionRecord } from "../injection/routes.ts";
import type { EventRecorder } from "../kubernetes/event-recorder.ts";

/** Why a pod was left alone, where those who asked for injection may wonder: who opted out knows. */
const WORTH_TELLING: ReadonlySet<ReviewOutcome> = new Set<ReviewOutcome>([
  "host-network",
  "windows",
  "never-selected",
  "policy-disabled",
  "injected-by-other",
]);

/**
 * Tells what became of a pod on what made it (a ReplicaSet, a Job): the pod itself may never come to be. Nothing for
 * dry runs, which must leave no trace, and for pods that nothing made, whose author got the answer.
 */
export function recordInjection(record: DecisionRecord, events: EventRecorder): void {
  const { controller, namespace, outcome, message, dryRun } = record;
  if (dryRun || controller === undefined || namespace === "") return;
  const event = { regarding: { ...controller, namespace }, action: "InjectSidecar" };
  if (outcome === "injected") {
    events.record({ ...event, type: "Normal", reason: "SidecarInjected", note: "Its pods get a sidecar." });
  } else if (outcome === "denied") {
    const note = `A pod was refused, since it cannot be injected: ${message}`;
    events.record({ ...event, type: "Warning", reason: "SidecarInjectionDenied", note });
  } else if (outcome === "failed") {
    const note = "A pod was refused, since injecting it failed: the control plane's log says why.";
    events.record({ ...event, type: "Warning", reason: "SidecarInjectionFailed", note });
  } else if (WORTH_TELLING.has(outcome)) {
    events.record({ ...event, type: "Normal", reason: "SidecarNotInjected", note: `${outcome}: ${message}` });
  }
}

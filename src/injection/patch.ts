import type { Operation } from "fast-json-patch";
import { applyPlan } from "./apply.ts";
import type { ExtensionPlan } from "./extend.ts";
import { diffJson } from "./json-diff.ts";
import type { InjectionPlan } from "./plan.ts";
import type { PodManifest } from "./pod.ts";

/** The JSON patch (RFC 6902) from the pod to the pod with the plan carried out: a diff, so they cannot disagree. */
export function buildPatch(pod: PodManifest, plan: InjectionPlan | ExtensionPlan): Operation[] {
  return diffJson(pod, applyPlan(pod, plan));
}

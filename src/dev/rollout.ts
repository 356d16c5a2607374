import type { PodSet } from "./workloads.ts";

/** What the plan needs to know of a pod that exists. */
export interface ExistingPod {
  readonly id: string;
  readonly revision: string;
  readonly ordinal?: number;
  readonly ready: boolean;
  readonly terminating: boolean;
  readonly phase: string;
  readonly createdAt: number;
}

export interface RolloutPlan {
  /** One entry a pod to make; its number where pods have one. */
  readonly create: readonly (number | undefined)[];
  /** Ids of pods to end. */
  readonly remove: readonly string[];
}

/** The next step towards what a set wants. Asked again behind every change, until the plan is empty. */
export function planRollout(set: PodSet, existing: readonly ExistingPod[]): RolloutPlan {
  switch (set.rollout.kind) {
    case "rolling":
      return planRolling(set, existing, set.rollout.maxSurge, set.rollout.maxUnavailable);
    case "recreate":
      return planRecreate(set, existing);
    case "ordered":
      return planOrdered(set, existing, set.rollout.parallel);
    case "job":
      return planJob(set, existing, set.rollout.parallelism, set.rollout.backoffLimit);
  }
}

/** Nothing is left to do, and all that should run is ready (or has succeeded, for a Job). */
export function isSettled(set: PodSet, existing: readonly ExistingPod[]): boolean {
  const { create, remove } = planRollout(set, existing);
  if (create.length > 0 || remove.length > 0) return false;
  const live = existing.filter((pod) => !pod.terminating);
  const well = live.filter((pod) => pod.revision === set.revision && (pod.ready || pod.phase === "Succeeded"));
  if (set.rollout.kind !== "job") return well.length === live.length && live.length === set.replicas;
  return well.length >= Math.min(set.replicas, set.rollout.parallelism);
}

function planRolling(
  set: PodSet,
  existing: readonly ExistingPod[],
  maxSurge: number,
  maxUnavailable: number,
): RolloutPlan {
  const live = existing.filter((pod) => !pod.terminating && !isOver(pod));
  const remove = existing.filter((pod) => !pod.terminating && isOver(pod)).map(({ id }) => id);
  const current = live.filter((pod) => pod.revision === set.revision);
  const old = live.filter((pod) => pod.revision !== set.revision);
  const room = set.replicas + (old.length > 0 ? maxSurge : 0) - live.length;
  const missing = Math.max(0, Math.min(set.replicas - current.length, room));

  const surplus = [...current].sort(leastWanted).slice(0, Math.max(0, current.length - set.replicas));
  remove.push(...surplus.map(({ id }) => id));

  let available = live.filter((pod) => pod.ready && !surplus.includes(pod)).length;
  for (const pod of [...old].sort(leastWanted)) {
    if (pod.ready && available <= set.replicas - maxUnavailable) continue;
    remove.push(pod.id);
    if (pod.ready) available--;
  }
  return { create: new Array<undefined>(missing).fill(undefined), remove };
}

function planRecreate(set: PodSet, existing: readonly ExistingPod[]): RolloutPlan {
  const live = existing.filter((pod) => !pod.terminating);
  const current = live.filter((pod) => pod.revision === set.revision && !isOver(pod));
  const others = live.filter((pod) => !current.includes(pod));
  const surplus = [...current].sort(leastWanted).slice(0, Math.max(0, current.length - set.replicas));
  const remove = [...others, ...surplus].map(({ id }) => id);
  const waits = existing.some((pod) => pod.revision !== set.revision);
  const missing = waits ? 0 : Math.max(0, set.replicas - current.length);
  return { create: new Array<undefined>(missing).fill(undefined), remove };
}

function planOrdered(set: PodSet, existing: readonly ExistingPod[], parallel: boolean): RolloutPlan {
  const surplus = existing.filter((pod) => !pod.terminating && (pod.ordinal ?? 0) >= set.replicas);
  if (surplus.length > 0) return { create: [], remove: surplus.map(({ id }) => id) };
  const create: number[] = [];
  for (let ordinal = 0; ordinal < set.replicas; ordinal++) {
    const pod = existing.find((candidate) => (candidate.ordinal ?? 0) === ordinal);
    if (pod === undefined) create.push(ordinal);
    if (!parallel && pod?.ready !== true) break;
  }
  if (create.length > 0) return { create, remove: [] };
  const settled = existing.every((pod) => pod.revision !== set.revision || pod.ready || pod.phase === "Succeeded");
  const old = existing.filter((pod) => !pod.terminating && pod.revision !== set.revision);
  const next = parallel
    ? old
    : settled && existing.every((pod) => !pod.terminating)
      ? old.sort(byOrdinal).slice(-1)
      : [];
  return { create: [], remove: next.map(({ id }) => id) };
}

function planJob(
  set: PodSet,
  existing: readonly ExistingPod[],
  parallelism: number,
  backoffLimit: number,
): RolloutPlan {
  const old = existing.filter((pod) => pod.revision !== set.revision);
  if (old.length > 0) return { create: [], remove: old.filter((pod) => !pod.terminating).map(({ id }) => id) };
  const failed = existing.filter((pod) => pod.phase === "Failed").length;
  if (failed > backoffLimit) return { create: [], remove: [] };
  const succeeded = existing.filter((pod) => pod.phase === "Succeeded").length;
  const active = existing.filter((pod) => !isOver(pod)).length;
  const missing = Math.max(0, Math.min(parallelism, set.replicas - succeeded) - active);
  return { create: new Array<undefined>(missing).fill(undefined), remove: [] };
}

/** Not ready ones go first, then the youngest. */
function leastWanted(a: ExistingPod, b: ExistingPod): number {
  return Number(a.ready) - Number(b.ready) || b.createdAt - a.createdAt;
}

function byOrdinal(a: ExistingPod, b: ExistingPod): number {
  return (a.ordinal ?? 0) - (b.ordinal ?? 0);
}

function isOver(pod: ExistingPod): boolean {
  return pod.phase === "Failed" || pod.phase === "Succeeded";
}

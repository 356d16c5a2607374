import { fingerprintsOf } from "../x509/pem-certificates.ts";
import { type AuthorityMaterial, validityOf } from "./authority-material.ts";
import type { AuthorityState, OldSlot } from "./authority-state.ts";

/** How an authority is replaced; times in milliseconds. */
export interface RotationPolicy {
  /** The share of an authority's life in this mesh after which its successor is prepared. */
  readonly prepareAtShare: number;
  /** How long a new root is published at least before it signs: for whoever is connected to nobody that could ask. */
  readonly propagationMs: number;
  /** How long proxies may take to come back behind a start: until then nobody knows who they all are. */
  readonly reconnectMs: number;
}

/** What the rest of the control plane knows about who trusts what. */
export interface RotationFacts {
  /** Since when proxies can have connected, or come back from a replica that is gone; in milliseconds since the epoch. */
  readonly observedSince: number;
  /** Why there may be proxies that nobody knows of here; null where there are none. */
  readonly unheard: string | null;
  /** Proxies that are connected, to any replica, and take the trust bundle from it. */
  readonly proxies: number;
  /** Those of them that have accepted the bundle as it is now. */
  readonly acknowledged: number;
  /** Some of those that have not, as NAME.NAMESPACE: a single one holds a rotation. */
  readonly behind: readonly string[];
}

export interface RotationInput {
  readonly state: AuthorityState;
  readonly policy: RotationPolicy;
  readonly facts: RotationFacts;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What to do now. `untilMs` of a wait is when time alone ends it; null where something else must happen. */
export type Step =
  | { readonly kind: "prepare"; readonly reason: string }
  | { readonly kind: "activate"; readonly reason: string }
  | { readonly kind: "retire"; readonly id: string; readonly reason: string }
  | { readonly kind: "wait"; readonly reason: string; readonly until: number | null };

/** The next step of a rotation. Pure: the same state, facts and time give the same step. */
export function nextStep(input: RotationInput): Step {
  const { state, now } = input;
  const expired = validityOf(state.active).notAfter <= now;
  if (state.prepared !== null) {
    if (validityOf(state.prepared).notAfter <= now) {
      return { kind: "retire", id: state.prepared.id, reason: "it expired before it signed anything" };
    }
    if (expired) return { kind: "activate", reason: "the active authority has expired" };
    const obstacle = activationObstacle(input) ?? propagationObstacle(input);
    if (obstacle === null) return { kind: "activate", reason: "every connected proxy trusts it" };
    if (obstacle.until !== null) return obstacle;
    const until = Math.max(lastMoment(state.active), propagationObstacle(input)?.until ?? 0);
    if (now < until) return { ...obstacle, until };
    return { kind: "activate", reason: `the active authority ends soon, although ${obstacle.reason}` };
  }
  const done = state.old.find((slot) => retirementObstacle(slot, now) === null);
  if (done !== undefined) return { kind: "retire", id: done.id, reason: "no certificate of it is valid any more" };
  return preparation(input, expired);
}

/** Why the prepared slot should not sign yet, or null. An operator may override it. */
export function activationObstacle({ state, policy, facts, now }: RotationInput): Wait | null {
  if (state.prepared === null) return wait("nothing is prepared", null);
  if (!addsTrust(state)) return null;
  const knownAt = facts.observedSince + policy.reconnectMs;
  if (now < knownAt)
    return wait("a replica has just started or gone, and proxies may still have to come back", knownAt);
  if (facts.unheard !== null) return wait(facts.unheard, null);
  return facts.acknowledged < facts.proxies ? wait(unaccepted(facts), null) : null;
}

/** How much of the active authority's life is left when proxies are no longer waited for. */
const SPARE = { ms: 7 * 86_400_000, share: 0.1 };

/**
 * At its very end every certificate would end with it, at one moment: a single proxy that accepts nothing, by mistake or on
 * purpose, must not take the whole mesh there.
 */
function lastMoment(active: AuthorityMaterial): number {
  const { notBefore, notAfter } = validityOf(active);
  return notAfter - Math.min(SPARE.ms, (notAfter - notBefore) * SPARE.share);
}

function unaccepted({ proxies, acknowledged, behind }: RotationFacts): string {
  const missing = proxies - acknowledged;
  const others = missing > behind.length ? [`${missing - behind.length} more`] : [];
  const named = [...behind, ...others].join(", ");
  return `${missing} of ${proxies} connected proxies have not accepted the new trust bundle: ${named}`;
}

/** Why an old slot's root should stay published, or null. An operator may override it. */
export function retirementObstacle({ id, leavesUntil }: OldSlot, now: number): Wait | null {
  if (now >= leavesUntil) return null;
  return wait(`certificates of ${id} may be valid until ${new Date(leavesUntil).toISOString()}`, leavesUntil);
}

type Wait = Extract<Step, { kind: "wait" }>;

function propagationObstacle({ state, policy, now }: RotationInput): Wait | null {
  if (state.prepared === null || !addsTrust(state)) return null;
  const until = state.prepared.preparedAt + policy.propagationMs;
  return now < until ? wait("the new root is published, and given time to spread", until) : null;
}

/** Whether anyone must learn of a root before the prepared slot may sign; not so for a new intermediate. */
function addsTrust({ active, prepared }: AuthorityState): boolean {
  const known = new Set(fingerprintsOf(active.rootsPem));
  return prepared !== null && fingerprintsOf(prepared.rootsPem).some((root) => !known.has(root));
}

function preparation({ state, policy, now }: RotationInput, expired: boolean): Step {
  const { notBefore, notAfter } = validityOf(state.active);
  const retireAt = state.old.map((slot) => slot.leavesUntil);
  // What was plugged in is replaced by whoever plugged it in.
  if (state.active.origin === "plugged-in") return wait("its successor is to be plugged in", earliest(retireAt));
  // Istio's own root may be old when the mesh begins with it, and those whom istiod still serves hear of no successor.
  const since = Math.max(notBefore, state.active.preparedAt);
  const due = since + (notAfter - since) * policy.prepareAtShare;
  if (expired) return { kind: "prepare", reason: "the active authority has expired" };
  if (now >= due) return { kind: "prepare", reason: "the active authority is past the middle of its life" };
  const next = earliest([due, ...retireAt]);
  return next === due ? wait("the active authority is young enough", due) : wait("an old root is still in use", next);
}

function earliest(times: readonly number[]): number | null {
  return times.length === 0 ? null : Math.min(...times);
}

function wait(reason: string, until: number | null): Wait {
  return { kind: "wait", reason, until };
}

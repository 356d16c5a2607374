import { certificatesOf, fingerprintOf } from "../x509/pem-certificates.ts";
import type { AuthorityMaterial } from "./authority-material.ts";

/**
 * Everything that a mesh's authority must not forget: what signs, what will sign next, and what has signed. Immutable;
 * a rotation is a chain of the functions below, each of which is saved before anything acts on it.
 */
export interface AuthorityState {
  readonly active: Slot;
  /** Its roots are published already; it signs nothing yet. */
  readonly prepared: Slot | null;
  /** Leaves of these may still be in use, so their roots stay published. The newest first; their keys are gone. */
  readonly old: readonly OldSlot[];
  /** PEM of the revocation lists of a plugged-in authority: those that were good when they were last read. May be empty. */
  readonly revocationListsPem: string;
}

/** Where a slot's material comes from. Only what this mesh made itself is replaced by itself. */
export type SlotOrigin = "self-signed" | "plugged-in";

export interface Slot extends AuthorityMaterial {
  /** The first 16 hexadecimal digits of the certificate's SHA-256 fingerprint. */
  readonly id: string;
  readonly origin: SlotOrigin;
  /** Milliseconds since the epoch; since then its roots are in the trust bundle. */
  readonly preparedAt: number;
  /** No certificate signed with this key lives longer; raised before one that would is signed. */
  readonly longestLifeMs: number;
  /** PEM of its own root signed by the ones before it, newest first: for peers that have only heard of those. */
  readonly crossCertificatesPem: string;
}

export interface OldSlot {
  readonly id: string;
  readonly origin: SlotOrigin;
  readonly certificatePem: string;
  readonly rootsPem: string;
  /** The last moment at which one of its leaves can be valid, in milliseconds since the epoch. */
  readonly leavesUntil: number;
}

export function slotOf(
  material: AuthorityMaterial,
  details: Pick<Slot, "origin" | "preparedAt"> & { readonly crossCertificatesPem?: string },
): Slot {
  return {
    ...material,
    id: fingerprintOf(material.certificatePem).slice(0, 16),
    origin: details.origin,
    preparedAt: details.preparedAt,
    longestLifeMs: 0,
    crossCertificatesPem: details.crossCertificatesPem ?? "",
  };
}

/** Publishes what is to sign next. What was prepared before and never signed is forgotten. */
export function withPrepared(state: AuthorityState, prepared: Slot): AuthorityState {
  return { ...state, prepared };
}

/**
 * Lets the prepared slot sign. `othersStopAt` is when the last replica has heard of it and no longer signs with the
 * old one, in milliseconds since the epoch.
 */
export function withActivated(state: AuthorityState, othersStopAt: number): AuthorityState {
  if (state.prepared === null) return state;
  const { id, origin, certificatePem, rootsPem, longestLifeMs } = state.active;
  const old: OldSlot = { id, origin, certificatePem, rootsPem, leavesUntil: othersStopAt + longestLifeMs };
  return {
    ...state,
    active: state.prepared,
    prepared: null,
    old: [old, ...state.old.filter((slot) => slot.id !== id)],
  };
}

/** Takes the roots of an old slot out of the trust bundle, or those of a prepared one, which is then forgotten. */
export function withRetired(state: AuthorityState, id: string): AuthorityState {
  const prepared = state.prepared?.id === id ? null : state.prepared;
  return { ...state, prepared, old: state.old.filter((slot) => slot.id !== id) };
}

/**
 * Takes what came anew with a key that is known already: another way to its root, or more roots beside it. Answers the
 * same state where there is nothing new.
 */
export function withMaterial(state: AuthorityState, id: string, material: AuthorityMaterial): AuthorityState {
  const { intermediatesPem, rootsPem } = material;
  const renewed = (slot: Slot): Slot =>
    slot.id !== id || (slot.intermediatesPem === intermediatesPem && slot.rootsPem === rootsPem)
      ? slot
      : { ...slot, intermediatesPem, rootsPem };
  const active = renewed(state.active);
  const prepared = state.prepared === null ? null : renewed(state.prepared);
  return active === state.active && prepared === state.prepared ? state : { ...state, active, prepared };
}

/** Answers the same state where the lists are the same. */
export function withRevocationLists(state: AuthorityState, revocationListsPem: string): AuthorityState {
  return state.revocationListsPem === revocationListsPem ? state : { ...state, revocationListsPem };
}

/** Allows the active slot to sign certificates of that life. Answers the same state where it does already. */
export function withLongestLife(state: AuthorityState, lifeMs: number): AuthorityState {
  if (lifeMs <= state.active.longestLifeMs) return state;
  return { ...state, active: { ...state.active, longestLifeMs: lifeMs } };
}

/**
 * Every root that peers must accept, as one PEM text: the oldest first, whatever slot each is in, so that a rotation
 * changes the text only where it adds a root or takes one away.
 */
export function trustBundleOf({ active, prepared, old }: AuthorityState): string {
  const slots = [active, ...(prepared === null ? [] : [prepared]), ...old];
  const roots = new Map(
    slots.flatMap(({ rootsPem }) => certificatesOf(rootsPem)).map((root) => [root.fingerprint256, root]),
  );
  return [...roots.values()]
    .sort(
      (a, b) => a.validFromDate.getTime() - b.validFromDate.getTime() || (a.fingerprint256 < b.fingerprint256 ? -1 : 1),
    )
    .map((root) => root.toString())
    .join("");
}

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Clock } from "../../platform/clock.ts";
import { TrysailError } from "../../platform/errors.ts";
import type { Logger } from "../../platform/log.ts";
import type { Random } from "../../platform/random.ts";
import { Refusal } from "../refusal.ts";
import { createSigner, type Signer } from "../signer.ts";
import { certificatesOf } from "../x509/pem-certificates.ts";
import { type AuthorityMaterial, validityOf } from "./authority-material.ts";
import {
  type AuthorityState,
  type Slot,
  slotOf,
  trustBundleOf,
  withActivated,
  withLongestLife,
} from "./authority-state.ts";
import type { AuthorityStore, EmptiedState, StoredState } from "./authority-store.ts";
import { missingKey, NOTHING_PUBLISHED, type PublishedRoots } from "./published-roots.ts";
import { createSelfSignedRoot } from "./self-signed-root.ts";

/** The mesh's authority: what signs, and whom peers must trust. Both change with a rotation, so ask anew at each use. */
export interface Authority {
  /** What signs now; it goes on to sign with the same key until it is asked for again. */
  signer(): Signer;
  /** Every root that peers must accept, as one PEM text. */
  trustBundlePem(): string;
  /** What peers' chains must not be on, as one PEM text: of every authority of a chain, or empty. */
  revocationListsPem(): string;
  state(): AuthorityState;
  /**
   * Saves what `next` makes of the newest state, then takes it into use. `next` is asked again where another process was
   * first; where it answers the state it was given, or throws, nothing is saved.
   */
  change(next: (state: AuthorityState) => AuthorityState): Promise<AuthorityState>;
  /**
   * Takes into use what another process has saved. Where somebody took the state away it is put back as it was last, since
   * whoever starts next would else begin with a root that no peer trusts; answers whether it was.
   */
  refresh(): Promise<{ readonly restored: boolean }>;
  /** Called behind each change of what signs, or of whom to trust. Returns the unsubscription. */
  onChange(listener: (change: AuthorityChange) => void): () => void;
}

export interface AuthorityChange {
  /** Leaves are signed by another key than before. */
  readonly signer: boolean;
  /** Or the revocation lists, which say whom of it not to trust. */
  readonly trustBundle: boolean;
}

export interface AuthorityDeps {
  readonly store: AuthorityStore;
  readonly clock: Pick<Clock, "now" | "after">;
  readonly random: Pick<Random, "bytes">;
  readonly trustDomain: string;
  readonly log: Logger;
  /** What to begin with where the store is empty, or what it has is over; a new root of our own unless given. */
  first?(): Promise<FirstMaterial | undefined>;
  /** Of a mesh that has these, no new root is made: the start waits until the authority is in its store again. */
  readonly published?: PublishedRoots;
  /** How long roots made here live; ten years unless given. */
  readonly rootLifeMs?: number | undefined;
  /** Whoever only looks, or does not know what is plugged in, leaves an authority that has expired as it is. */
  readonly keepsExpired?: boolean;
}

export interface FirstMaterial {
  readonly origin: Slot["origin"];
  readonly material: AuthorityMaterial;
}

/** Another process that saves all the time is no reason to go on for ever. */
const ATTEMPTS = 20;
/** Between two looks for an authority that is missing. */
const MISSING_MS = 1000;

/** Reads the authority from its store, and makes it on the first start. Rejects where it is damaged, or of another mesh. */
export async function loadAuthority(deps: AuthorityDeps): Promise<Authority> {
  const listeners = new Set<(change: AuthorityChange) => void>();
  let stored = await loadOrCreate(deps);
  assertOurs(deps, stored.state);
  if (!deps.keepsExpired && !isValid(stored.state.active, deps.clock)) stored = await replaceExpired(deps, stored);
  let signer = signerOf(stored.state.active);
  let trustBundlePem = trustBundleOf(stored.state);
  let saving: Promise<unknown> = Promise.resolve();

  function signerOf(slot: Slot): Signer {
    return createSigner({
      certificate: new X509Certificate(slot.certificatePem),
      notAfter: validityOf(slot).notAfter,
      key: createPrivateKey(Buffer.from(slot.keyPem.reveal())),
      intermediatesPem: slot.intermediatesPem,
      crossCertificatesPem: unexpired(slot.crossCertificatesPem, deps.clock.now()),
      clock: deps.clock,
      random: deps.random,
      beforeSigning: (lifeMs) => allowLife(slot.id, lifeMs),
    });
  }

  /** Undefined where it is allowed already, as it nearly always is. */
  function allowLife(id: string, lifeMs: number): Promise<void> | undefined {
    const { active } = stored.state;
    if (active.id === id && lifeMs <= active.longestLifeMs) return undefined;
    return change((state) => {
      if (state.active.id !== id) throw new Error("another one signs since then");
      return withLongestLife(state, roundedLife(lifeMs));
    }).then(
      () => {},
      (cause: unknown) => {
        throw new Refusal("signer-unavailable", "the authority cannot sign at this moment: ask again", { cause });
      },
    );
  }

  function use(next: StoredState): void {
    const before = stored;
    if (before.revision === next.revision) return;
    stored = next;
    const bundle = trustBundleOf(next.state);
    const changed: AuthorityChange = {
      signer: signs(before.state.active) !== signs(next.state.active),
      trustBundle: bundle !== trustBundlePem || before.state.revocationListsPem !== next.state.revocationListsPem,
    };
    // A root that was renewed with its key ends later, and so may what is signed under it.
    const isRenewed = before.state.active.rootsPem !== next.state.active.rootsPem;
    if (changed.signer || isRenewed) signer = signerOf(next.state.active);
    trustBundlePem = bundle;
    if (changed.signer || changed.trustBundle) for (const listener of [...listeners]) listener(changed);
  }

  async function attempt(next: (state: AuthorityState) => AuthorityState): Promise<AuthorityState> {
    for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
      const wanted = next(stored.state);
      if (wanted === stored.state) return wanted;
      const saved = await deps.store.save(wanted, stored.revision);
      if (saved !== undefined) {
        use(saved);
        return saved.state;
      }
      await reload();
    }
    throw new TrysailError("unavailable", "the authority's state is changed by others all the time: try again");
  }

  async function reload(): Promise<{ readonly restored: boolean }> {
    const newest = await deps.store.load();
    if (newest === undefined || newest.state === null) {
      const saved = await deps.store.save(stored.state, newest?.revision ?? null);
      // Where another process was first, the next look finds what it put back.
      if (saved !== undefined) use(saved);
      return { restored: saved !== undefined };
    }
    assertOurs(deps, newest.state);
    use(newest);
    return { restored: false };
  }

  /** One after the other, so that processes compete, but not the parts of one. */
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = saving.then(run);
    saving = result.catch(() => {});
    return result;
  }

  function change(next: (state: AuthorityState) => AuthorityState): Promise<AuthorityState> {
    return inTurn(() => attempt(next));
  }

  return {
    signer: () => signer,
    trustBundlePem: () => trustBundlePem,
    revocationListsPem: () => stored.state.revocationListsPem,
    state: () => stored.state,
    change,
    refresh: () => inTurn(reload),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

async function loadOrCreate(deps: AuthorityDeps): Promise<StoredState> {
  const { store, clock, published = NOTHING_PUBLISHED } = deps;
  for (let told = ""; ; ) {
    const found = await store.load();
    if (found !== undefined && found.state !== null) return found;
    const first = await firstMaterial(deps);
    const missing = await missingKey(published, first.material.rootsPem, clock.now());
    if (missing === null) {
      if (found === undefined) return saveNew(deps, first, null);
      assertNotEmptied(deps, found);
    } else if (missing !== told) {
      published.onKeyMissing(`${store.name} has no authority in it, and ${missing}`);
      told = missing;
    }
    await new Promise<void>((resolve) => void clock.after(MISSING_MS, resolve));
  }
}

function assertNotEmptied({ store }: AuthorityDeps, found: StoredState | EmptiedState): asserts found is StoredState {
  if (found.state !== null) return;
  throw new TrysailError("failed-precondition", `${store.name} has no authority in it any more. ${WAY_OUT}`);
}

/** Nothing that it signed can be valid any more, so there is nothing to be careful with. */
async function replaceExpired(deps: AuthorityDeps, { state, revision }: StoredState): Promise<StoredState> {
  const { active, prepared } = state;
  deps.log.warn(
    { authority: active.id },
    "the mesh's authority has expired, and every certificate of it: it is replaced",
  );
  // Peers know the roots of that, and those of none that would be made now.
  if (prepared !== null && isValid(prepared, deps.clock)) {
    return saveFirst(deps, withActivated(state, deps.clock.now()), revision);
  }
  return saveNew(deps, await firstMaterial(deps), revision);
}

function isValid(slot: Slot, clock: Pick<Clock, "now">): boolean {
  return validityOf(slot).notAfter > clock.now();
}

async function firstMaterial(deps: AuthorityDeps): Promise<FirstMaterial> {
  const given = await deps.first?.();
  if (given !== undefined) return given;
  return { origin: "self-signed", material: createSelfSignedRoot({ ...deps, lifeMs: deps.rootLifeMs }) };
}

async function saveNew(
  deps: AuthorityDeps,
  { origin, material }: FirstMaterial,
  replaces: string | null,
): Promise<StoredState> {
  const active = slotOf(material, { origin, preparedAt: deps.clock.now() });
  // Lists that there are come with the source, at the rotator's first look.
  return saveFirst(deps, { active, prepared: null, old: [], revocationListsPem: "" }, replaces);
}

async function saveFirst(deps: AuthorityDeps, state: AuthorityState, replaces: string | null): Promise<StoredState> {
  const saved = await deps.store.save(state, replaces);
  if (saved !== undefined) {
    const { id: authority, origin } = state.active;
    deps.log.info({ store: deps.store.name, authority, origin }, "the mesh has a new authority");
    return saved;
  }
  // Another process was first, and what is written is what counts.
  const others = await deps.store.load();
  if (others === undefined) throw new TrysailError("unavailable", `${deps.store.name} cannot be written`);
  assertNotEmptied(deps, others);
  return others;
}

/** What was stored is of this mesh, and of this time. One that has ended is let through: a rotation mends it. */
function assertOurs(deps: AuthorityDeps, { active }: AuthorityState): void {
  const refuse = (problem: string) =>
    new TrysailError("failed-precondition", `the mesh's authority in ${deps.store.name} ${problem}`);
  const certificate = new X509Certificate(active.certificatePem);
  let fits: boolean;
  try {
    fits = certificate.checkPrivateKey(createPrivateKey(Buffer.from(active.keyPem.reveal())));
  } catch {
    throw refuse(`has a key that cannot be read. ${WAY_OUT}`);
  }
  if (!fits) throw refuse(`has another key than its certificate. ${WAY_OUT}`);
  const id = `URI:spiffe://${deps.trustDomain}`;
  const uris = (certificate.subjectAltName ?? "").split(", ").filter((name) => name.startsWith("URI:"));
  if (uris.some((uri) => uri !== id)) {
    throw refuse(`is for ${uris.join(", ").replaceAll("URI:", "")}, and this mesh is spiffe://${deps.trustDomain}`);
  }
  const { notBefore } = validityOf(active);
  if (notBefore > deps.clock.now()) {
    throw refuse(`begins at ${new Date(notBefore).toISOString()}: is this machine's clock right?`);
  }
}

const WAY_OUT =
  "Restore it from a backup, or move it away to start with a new root that every workload must be told of";

function signs({ id, certificatePem, intermediatesPem }: Slot): string {
  return id + certificatePem + intermediatesPem;
}

/** Up by a quarter at most, so that callers who ask for ever longer lives cause four writes for each doubling. */
function roundedLife(lifeMs: number): number {
  const step = 2 ** (Math.floor(Math.log2(Math.max(lifeMs, 1000))) - 2);
  return Math.ceil(lifeMs / step) * step;
}

function unexpired(pem: string, now: number): string {
  return certificatesOf(pem)
    .filter((certificate) => certificate.validToDate.getTime() > now)
    .map((certificate) => certificate.toString())
    .join("");
}

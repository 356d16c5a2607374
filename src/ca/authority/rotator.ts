import type { Clock } from "../../platform/clock.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { Logger } from "../../platform/log.ts";
import type { Random } from "../../platform/random.ts";
import type { Authority } from "./authority.ts";
import { type AuthorityMaterial, assertValidNow, validityOf } from "./authority-material.ts";
import { type AuthoritySource, assertNothingPluggedIn } from "./authority-source.ts";
import { type AuthorityState, withActivated, withRetired, withRevocationLists } from "./authority-state.ts";
import { createExpiryTeller, type Expiry } from "./expiry-teller.ts";
import { createHeldTeller } from "./held-rotation.ts";
import { preparedWith, withOffered } from "./prepare-slot.ts";
import { createRevocationJudge, type RevocationMetrics, type RevocationStatus } from "./revocation-judge.ts";
import {
  activationObstacle,
  nextStep,
  type RotationFacts,
  type RotationInput,
  type RotationPolicy,
  retirementObstacle,
  type Step,
} from "./rotation.ts";
import { createSelfSignedRoot } from "./self-signed-root.ts";

/** Takes the steps of a rotation: those that are due by themselves, and those that an operator asks for. */
export interface Rotator {
  /** Takes the steps that are due now, then goes on looking. */
  start(): Promise<void>;
  prepare(): Promise<void>;
  /** `force` goes ahead where something that should be waited for has not happened. */
  activate(options: { readonly force: boolean }): Promise<void>;
  /** Without an id, every old authority. */
  retire(options: { readonly force: boolean; readonly id?: string | undefined }): Promise<void>;
  /** What would be done next, and why it is not done yet. */
  next(): Step;
  facts(): RotationFacts;
  /** Why the source could not be used when it was last read; null where it could, or where there is none. */
  sourceProblem(): string | null;
  /** Null where there are no revocation lists. */
  revocationLists(): RevocationStatus | null;
  stop(): void;
}

export interface RotatorDeps {
  readonly authority: Authority;
  /** Null where the mesh makes its own roots. */
  readonly source: AuthoritySource | null;
  readonly policy: RotationPolicy;
  facts(): RotationFacts;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly random: Pick<Random, "bytes">;
  readonly log: Logger;
  /** How often the store and the source are read. */
  readonly pollMs: number;
  /** Whether this replica takes the steps that are due by themselves; the others follow. Always, unless given. */
  mayStep?(): boolean;
  /** How long other replicas may go on signing before they hear of an activation; 0 where there are none. */
  readonly replicaLagMs: number;
  readonly rootLifeMs?: number | undefined;
  readonly metrics?: RotatorMetrics;
  /** Why proxies cannot use revocation lists at this time; null, or absent, where they can. */
  revocationObstacle?(): string | null;
  /** Called once for each warning: for an Event. */
  onExpiring?(expiry: Expiry): void;
  /** Called once for each prepared authority that proxies keep from signing: for an Event. */
  onHeld?(message: string): void;
  /** Called once each time that somebody has touched the authority's state, or that it cannot be read. */
  onTampered?(notice: TamperNotice): void;
}

export interface TamperNotice {
  readonly kind: "restored" | "unreadable";
  readonly message: string;
}

export interface RotatorMetrics extends RevocationMetrics {
  /** Milliseconds since the epoch. */
  activeEnds(notAfter: number): void;
  sourceUsable(usable: boolean): void;
  stepped(kind: "prepare" | "activate" | "retire"): void;
}

/** No rotation has as many steps; it is what keeps a mistake from going round and round. */
const MOST_STEPS_AT_ONCE = 5;

export function createRotator(deps: RotatorDeps): Rotator {
  const { authority, clock, log, policy } = deps;
  let stopped = false;
  let cancel = (): void => {};
  let problem: string | null = null;
  let obstacle: string | null = null;
  const revocation = createRevocationJudge(deps);
  const tellHeld = createHeldTeller(deps);
  const tellExpiring = createExpiryTeller(deps);

  const input = (state = authority.state()): RotationInput => ({
    state,
    policy,
    facts: deps.facts(),
    now: clock.now(),
  });

  const step = async (kind: "prepare" | "activate" | "retire", why: string, next: Transition): Promise<void> => {
    const before = authority.state();
    const after = await authority.change(next);
    if (after === before) return;
    deps.metrics?.stepped(kind);
    log.info(
      {
        step: kind,
        reason: why,
        active: after.active.id,
        prepared: after.prepared?.id,
        old: after.old.map(({ id }) => id),
      },
      "the mesh's authority rotates",
    );
  };

  const prepareOwn: Transition = (state) => {
    // No list of the new root is there, so that proxies would refuse all that it signs.
    if (state.revocationListsPem !== "") {
      throw refusal(
        "revocation lists are in force, and none is of a new root: plug the last authority in once more, without ca-crl.pem",
      );
    }
    const root = createSelfSignedRoot({ ...deps, lifeMs: deps.rootLifeMs });
    return preparedWith(deps, state, root, "self-signed");
  };
  const activated: Transition = (state) => withActivated(state, clock.now() + deps.replicaLagMs);

  const readSource = async (): Promise<void> => {
    if (deps.source === null) return;
    let offered: AuthorityMaterial | undefined;
    let listsPem = "";
    try {
      offered = await deps.source.read();
      if (offered === undefined) {
        // Whoever plugs nothing in has made no mistake, but a mount that is gone would go unnoticed until the key ends.
        if (authority.state().active.origin === "plugged-in") {
          throw refusal(`${deps.source.name} holds no authority any more; the last one goes on`);
        }
      } else {
        assertValidNow(`the authority in ${deps.source.name}`, offered, clock.now());
        listsPem = revocation.choose(
          await deps.source.readRevocationLists(),
          withOffered(deps, authority.state(), offered),
        );
      }
      problem = null;
    } catch (error) {
      // Half of an update, or a mistake: what was read before goes on.
      if (problem !== messageOf(error))
        log.error({ source: deps.source.name, err: error }, "the authority's source cannot be used");
      problem = messageOf(error);
    }
    deps.metrics?.sourceUsable(problem === null);
    if (problem !== null || offered === undefined) return;
    const material = offered;
    const known = withRevocationLists(authority.state(), listsPem);
    if (known !== authority.state() && withOffered(deps, known, material) === known) {
      await authority.change((state) => withRevocationLists(state, listsPem));
      log.info({ source: deps.source.name, status: revocation.status() }, "other revocation lists are in force");
      return;
    }
    // An authority and the lists that go with it are taken into use at once, or peers would be refused in between.
    await step("prepare", `${deps.source.name} has another authority`, (state) =>
      withRevocationLists(withOffered(deps, state, material), listsPem),
    );
  };

  const refresh = async (): Promise<void> => {
    const { restored } = await authority.refresh().catch((error: unknown) => {
      const message = messageOf(error);
      const isBroken = error instanceof TrysailError && error.code === "failed-precondition";
      if (isBroken && message !== obstacle) {
        deps.onTampered?.({ kind: "unreadable", message: `${message}; the last one stays until that is mended` });
      }
      throw error;
    });
    if (!restored) return;
    const message = "the mesh's authority was taken away from where it is kept, and was put back as it was last";
    log.warn({ authority: authority.state().active.id }, message);
    deps.onTampered?.({ kind: "restored", message });
  };

  const tick = async (): Promise<void> => {
    await refresh();
    if (deps.mayStep?.() !== false) await takeSteps();
    revocation.report();
    const { active } = authority.state();
    deps.metrics?.activeEnds(validityOf(active).notAfter);
    tellExpiring(active, clock.now());
  };

  const takeSteps = async (): Promise<void> => {
    await readSource();
    for (let steps = 0; steps < MOST_STEPS_AT_ONCE; steps++) {
      const due = nextStep(input());
      if (due.kind === "wait") break;
      // Decided again on whatever is the newest state when it is saved.
      await step(due.kind, due.reason, (state) => {
        const now = nextStep(input(state));
        if (now.kind === "prepare") return prepareOwn(state);
        if (now.kind === "activate") return activated(state);
        return now.kind === "retire" ? withRetired(state, now.id) : state;
      });
    }
    tellHeld(input());
  };

  const look = (): void => {
    cancel = clock.after(deps.pollMs, () => {
      tick()
        .then(() => {
          obstacle = null;
        }, tellObstacle)
        .finally(() => {
          if (!stopped) look();
        });
    });
  };

  /** Once for each: it is looked for every few seconds. */
  const tellObstacle = (error: unknown): void => {
    const message = messageOf(error);
    if (obstacle === message) return;
    obstacle = message;
    log.error({ err: error }, "the authority's rotation could not go on");
  };

  return {
    async start() {
      await tick();
      look();
    },
    async prepare() {
      if (deps.source !== null) await assertNothingPluggedIn(deps.source);
      await step("prepare", "an operator asked for it", (state) => {
        if (state.prepared !== null) throw refusal(`${state.prepared.id} is prepared already`);
        return prepareOwn(state);
      });
    },
    activate: ({ force }) =>
      step("activate", force ? "an operator forced it" : "an operator asked for it", (state) => {
        if (state.prepared === null) throw refusal("nothing is prepared");
        const obstacle = activationObstacle(input(state));
        if (obstacle !== null && !force) throw refusal(`${obstacle.reason} (--force activates all the same)`);
        // Nobody would accept what it signs, whoever forces it.
        assertValidNow(`${state.prepared.id}, which is prepared,`, state.prepared, clock.now());
        return activated(state);
      }),
    async retire({ force, id }) {
      // What is prepared from there would be prepared again at the next look.
      const isPrepared = id !== undefined && id === authority.state().prepared?.id;
      if (isPrepared && deps.source !== null) await assertNothingPluggedIn(deps.source);
      await step("retire", force ? "an operator forced it" : "an operator asked for it", (state) => {
        // Nothing was signed with it.
        if (id !== undefined && id === state.prepared?.id) return withRetired(state, id);
        const chosen = state.old.filter((slot) => id === undefined || slot.id === id);
        if (chosen.length === 0)
          throw refusal(id === undefined ? "nothing is old" : `no old authority is called ${id}`);
        for (const slot of chosen) {
          const obstacle = retirementObstacle(slot, clock.now());
          if (obstacle !== null && !force) throw refusal(`${obstacle.reason} (--force retires it all the same)`);
        }
        return chosen.reduce((next, slot) => withRetired(next, slot.id), state);
      });
    },
    next: () => nextStep(input()),
    facts: () => deps.facts(),
    sourceProblem: () => problem,
    revocationLists: () => revocation.status(),
    stop() {
      stopped = true;
      cancel();
    },
  };
}

type Transition = (state: AuthorityState) => AuthorityState;

function refusal(message: string): TrysailError {
  return new TrysailError("failed-precondition", message);
}

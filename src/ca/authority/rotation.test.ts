import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { systemRandom } from "../../platform/random.ts";
import { type AuthorityState, type Slot, slotOf, withActivated, withPrepared, withRetired } from "./authority-state.ts";
import { activationObstacle, nextStep, type RotationFacts, type Step } from "./rotation.ts";
import { createSelfSignedRoot } from "./self-signed-root.ts";

const START = Date.parse("2026-08-01T00:00:00Z");
const DAY_MS = 86_400_000;
const LIFE_MS = 100 * DAY_MS;
const LEAF_LIFE_MS = DAY_MS;
const policy = { prepareAtShare: 0.5, propagationMs: DAY_MS, reconnectMs: 15_000 };

function slot(madeAt: number, overrides: Partial<Slot> = {}): Slot {
  const root = createSelfSignedRoot({
    clock: createManualClock(madeAt),
    random: systemRandom,
    trustDomain: "cluster.local",
    lifeMs: LIFE_MS,
  });
  return { ...slotOf(root, { origin: "self-signed", preparedAt: madeAt }), longestLifeMs: LEAF_LIFE_MS, ...overrides };
}

const first = slot(START);
const second = slot(START + 50 * DAY_MS);
const fresh: AuthorityState = { active: first, prepared: null, old: [], revocationListsPem: "" };
const prepared = withPrepared(fresh, second);
const activated = withActivated(prepared, START + 52 * DAY_MS);

function stepAt(days: number, state: AuthorityState, facts: Partial<RotationFacts> = {}): Step {
  const all = { observedSince: START, unheard: null, proxies: 3, acknowledged: 3, behind: [], ...facts };
  return nextStep({ state, policy, facts: all, now: START + days * DAY_MS });
}

test("a young authority waits for the middle of its life, and its successor is prepared then", () => {
  const step = stepAt(1, fresh);
  assert.equal(step.kind, "wait");
  const middle = START + 50 * DAY_MS;
  assert.equal(step.kind === "wait" && step.until, middle);
  assert.equal(stepAt((middle - 1 - START) / DAY_MS, fresh).kind, "wait");
  assert.equal(stepAt((middle - START) / DAY_MS, fresh).kind, "prepare");
});

test("a root that is old when the mesh begins with it waits for the middle of what is left of its life", () => {
  const adopted = { ...fresh, active: { ...first, preparedAt: START + 80 * DAY_MS } };
  const step = stepAt(81, adopted);
  assert.equal(step.kind === "wait" && step.until, START + 90 * DAY_MS);
  assert.equal(stepAt(90, adopted).kind, "prepare");
});

test("what is plugged in is replaced by whoever plugged it in, even when it has expired", () => {
  const state = { ...fresh, active: { ...first, origin: "plugged-in" as const } };
  for (const days of [1, 60, 101]) assert.equal(stepAt(days, state).kind, "wait");
});

test("a prepared root signs once it had time to spread and every connected proxy has accepted it", () => {
  const early = stepAt(50.5, prepared);
  assert.equal(early.kind === "wait" && early.until, START + 51 * DAY_MS);
  const missing = stepAt(51, prepared, { acknowledged: 2, behind: ["cart-1.shop"] });
  assert.equal(missing.kind === "wait" && missing.until, START + 93 * DAY_MS);
  assert.equal(missing.reason, "1 of 3 connected proxies have not accepted the new trust bundle: cart-1.shop");
  const all = stepAt(51, prepared, { acknowledged: 0, behind: ["cart-1.shop", "pay-1.shop"] });
  assert.match(all.reason, /^3 of 3 connected proxies .*: cart-1\.shop, pay-1\.shop, 1 more$/);
  assert.equal(stepAt(51, prepared).kind, "activate");
});

test("proxies that accept nothing are waited for until a week before the active authority ends, and no longer", () => {
  const silent = { acknowledged: 2, behind: ["cart-1.shop"] };
  assert.equal(stepAt(92.9, prepared, silent).kind, "wait");
  const step = stepAt(93, prepared, silent);
  assert.equal(step.kind, "activate");
  assert.match(
    step.reason,
    /^the active authority ends soon, although 1 of 3 connected proxies have not accepted .*cart-1/,
  );

  const late = withPrepared(fresh, slot(START + 95 * DAY_MS));
  const spreading = stepAt(95.5, late, silent);
  assert.equal(
    spreading.kind === "wait" && spreading.until,
    START + 96 * DAY_MS,
    "everybody else has time to learn of it",
  );
  assert.equal(stepAt(96, late, silent).kind, "activate");
});

test("a control plane that has just started does not take silence for consent", () => {
  const facts = { observedSince: START + 51 * DAY_MS, unheard: null, proxies: 0, acknowledged: 0, behind: [] };
  const step = stepAt(51, prepared, facts);
  assert.equal(step.kind === "wait" && step.until, facts.observedSince + policy.reconnectMs);
  assert.equal(stepAt(51.01, prepared, facts).kind, "activate");
});

test("while other replicas' proxies are not known, silence is no consent either", () => {
  const step = stepAt(51, prepared, { unheard: "nobody may read it" });
  assert.deepEqual([step.kind, step.reason], ["wait", "nobody may read it"]);
  assert.equal(stepAt(96, prepared, { unheard: "nobody may read it" }).kind, "activate", "its end is near");
});

test("what ends before it signs is taken back, whoever signs until then", () => {
  const brief = withPrepared(fresh, slot(START - 97 * DAY_MS));
  assert.equal(stepAt(2, brief, { acknowledged: 2, behind: ["cart-1.shop"] }).kind, "wait");
  const step = stepAt(3, brief);
  assert.deepEqual([step.kind, step.kind === "retire" && step.id], ["retire", brief.prepared?.id]);
  assert.deepEqual(withRetired(brief, brief.prepared?.id ?? ""), fresh);
  const both = { ...brief, active: slot(START - 98 * DAY_MS) };
  assert.equal(stepAt(3, both).kind, "retire", "one that is over is no successor of another");
});

test("another key under roots that are trusted already signs at once", () => {
  const sameRoot = { ...second, rootsPem: first.rootsPem, certificatePem: first.certificatePem };
  assert.equal(stepAt(1, withPrepared(fresh, sameRoot), { acknowledged: 0, behind: [] }).kind, "activate");
});

test("where the active authority has expired nothing is waited for", () => {
  assert.equal(stepAt(100, fresh).kind, "prepare");
  assert.equal(stepAt(100, prepared, { acknowledged: 0, behind: [] }).kind, "activate");
});

test("an old root stays until the last certificate that it may have signed is over", () => {
  const [old] = activated.old;
  assert.equal(old?.id, first.id);
  assert.equal(old?.leavesUntil, START + 52 * DAY_MS + LEAF_LIFE_MS);
  assert.ok(!("keyPem" in (old ?? {})), "its key is gone");
  const wait = stepAt(52.5, activated);
  assert.equal(wait.kind === "wait" && wait.until, old?.leavesUntil);
  assert.deepEqual(stepAt(53, activated), {
    kind: "retire",
    id: first.id,
    reason: "no certificate of it is valid any more",
  });
  assert.equal(stepAt(53, withRetired(activated, first.id)).kind, "wait");
});

test("nothing prepared cannot be activated, whatever else holds", () => {
  const facts = { observedSince: START, unheard: null, proxies: 0, acknowledged: 0, behind: [] };
  assert.match(activationObstacle({ state: fresh, policy, facts, now: START })?.reason ?? "", /nothing is prepared/);
  assert.equal(withActivated(fresh, START), fresh);
});

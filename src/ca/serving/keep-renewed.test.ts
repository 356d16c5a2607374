import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { keepRenewed, renewalTime, retryDelayMs } from "./keep-renewed.ts";

const HOUR_MS = 60 * 60 * 1000;

/** Lets everything that waits for no timer run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}

function start(options: { lifeMs: number; fraction?: number; fails?: () => boolean }) {
  const clock = createManualClock(0);
  const madeAt: number[] = [];
  const failedAt: number[] = [];
  const renewal = keepRenewed({
    clock,
    random: { fraction: () => options.fraction ?? 0 },
    async make() {
      if (options.fails?.()) throw new Error("no");
      return { notAfter: clock.now() + options.lifeMs };
    },
    made: () => madeAt.push(clock.now()),
    failed: () => failedAt.push(clock.now()),
  });
  return { clock, madeAt, failedAt, renewal };
}

test("it is made at once, and anew each time half the life has passed", async () => {
  const { clock, madeAt } = start({ lifeMs: 24 * HOUR_MS });
  await settle();
  for (let hours = 0; hours < 36; hours++) {
    clock.advance(HOUR_MS);
    await settle();
  }
  assert.deepEqual(madeAt, [0, 12 * HOUR_MS, 24 * HOUR_MS, 36 * HOUR_MS]);
});

test("the moment falls between 50 and 80 % of the life, as chance has it", () => {
  assert.equal(renewalTime(1000, 11_000, 0), 6000);
  assert.equal(renewalTime(1000, 11_000, 0.5), 7500);
  assert.ok(renewalTime(1000, 11_000, 0.999) < 9000);
});

test("a life that is nearly over does not make it spin", () => {
  assert.equal(renewalTime(1000, 1001, 0), 1500);
});

test("a life longer than setTimeout can wait is renewed at its half, not at once", async () => {
  const { clock, madeAt } = start({ lifeMs: 90 * 24 * HOUR_MS });
  await settle();
  clock.advance(44 * 24 * HOUR_MS);
  await settle();
  assert.equal(madeAt.length, 1);
  clock.advance(24 * HOUR_MS);
  await settle();
  assert.deepEqual(madeAt.at(1), 45 * 24 * HOUR_MS);
});

test("failures are tried again with growing pauses, and the rhythm returns with success", async () => {
  let fails = true;
  const { clock, madeAt, failedAt } = start({ lifeMs: HOUR_MS, fails: () => fails });
  await settle();
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      clock.advance(1000);
      await settle();
    }
  };
  await pass(100);
  assert.deepEqual(failedAt, [0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000]);
  fails = false;
  await pass(30);
  assert.deepEqual(madeAt, [121_000]);
  fails = true;
  await pass(HOUR_MS / 2000);
  const renewalAt = 121_000 + HOUR_MS / 2;
  assert.deepEqual(
    failedAt.slice(8).map((at) => at - renewalAt),
    [0, 1000, 3000, 7000],
    "back to a short pause",
  );
});

test("a clock that was ahead for a while leaves nothing that holds only then", async () => {
  const { clock, madeAt } = start({ lifeMs: 24 * HOUR_MS });
  await settle();
  clock.advance(HOUR_MS);
  clock.set(48 * HOUR_MS);
  clock.advance(60_000);
  await settle();
  assert.deepEqual(madeAt, [0, 48 * HOUR_MS + 60_000]);
  clock.set(HOUR_MS + 60_000);
  clock.advance(60_000);
  await settle();
  assert.deepEqual(madeAt.slice(2), [HOUR_MS + 120_000]);
  clock.advance(HOUR_MS);
  await settle();
  assert.equal(madeAt.length, 3, "once");
});

test("a clock that is set back while a failure is waited out does not make the wait longer", async () => {
  let fails = true;
  const { clock, madeAt } = start({ lifeMs: 24 * HOUR_MS, fails: () => fails });
  await settle();
  fails = false;
  clock.set(-48 * HOUR_MS);
  clock.advance(1000);
  await settle();
  assert.deepEqual(madeAt, [-48 * HOUR_MS + 1000]);
});

test("chance takes up to half off a pause, so that a herd does not return as one", () => {
  assert.equal(retryDelayMs(0, 0), 1000);
  assert.equal(retryDelayMs(2, 1), 2000);
  assert.equal(retryDelayMs(500, 0), 30_000);
});

test("once stopped nothing is made, not even what was under way", async () => {
  const { clock, madeAt, renewal } = start({ lifeMs: HOUR_MS });
  renewal.stop();
  await settle();
  clock.advance(10 * HOUR_MS);
  await settle();
  assert.deepEqual(madeAt, []);
  assert.equal(clock.pending(), 0);
});

test("what must be replaced early is, within the window and once", async () => {
  const { clock, madeAt, renewal } = start({ lifeMs: 24 * HOUR_MS, fraction: 0.5 });
  await settle();
  renewal.renewWithin(HOUR_MS);
  renewal.renewWithin(2 * HOUR_MS);
  for (let minutes = 0; minutes < 120; minutes++) {
    clock.advance(60_000);
    await settle();
  }
  assert.deepEqual(madeAt, [0, HOUR_MS / 2]);
});

test("what is due before the window's moment keeps its own", async () => {
  const { clock, madeAt, renewal } = start({ lifeMs: HOUR_MS, fraction: 0 });
  await settle();
  clock.advance(HOUR_MS / 2 - 1);
  renewal.renewWithin(0);
  clock.advance(0);
  await settle();
  assert.deepEqual(madeAt, [0, HOUR_MS / 2 - 1]);
});

test("asked for while one is being made, another follows: the first may have begun too early", async () => {
  const { clock, madeAt, renewal } = start({ lifeMs: HOUR_MS });
  renewal.renewWithin(1000);
  await settle();
  clock.advance(1000);
  await settle();
  assert.deepEqual(madeAt, [0, 1000]);
});

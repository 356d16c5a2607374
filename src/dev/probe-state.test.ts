import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { advanceProbe, initialProbeState, probeTiming } from "./probe-state.ts";
import { startProbe } from "./probe-worker.ts";

test("defaults are Kubernetes' own", () => {
  assert.deepEqual(probeTiming({}), {
    initialDelayMs: 0,
    periodMs: 10_000,
    timeoutMs: 1_000,
    successThreshold: 1,
    failureThreshold: 3,
  });
});

const timing = probeTiming({ successThreshold: 2, failureThreshold: 3 });
const cases: [results: string, verdict: string][] = [
  ["", "unknown"],
  ["+", "unknown"],
  ["++", "success"],
  ["+-+", "unknown"],
  ["++--", "success"],
  ["++---", "failure"],
  ["++--+--", "success"],
  ["---+", "failure"],
  ["---++", "success"],
];
for (const [results, verdict] of cases) {
  test(`results ${results === "" ? "none" : results} mean ${verdict}`, () => {
    const state = [...results].reduce(
      (before, result) => advanceProbe(before, result === "+", timing),
      initialProbeState,
    );
    assert.equal(state.verdict, verdict);
  });
}

/** Lets the checks of `startProbe`, which are promises, come to their end. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a quick probe sees the first success soon, but counts failures once a period", async () => {
  const clock = createManualClock(0);
  const seen: [number, boolean, number][] = [];
  let well = false;
  const stop = startProbe(
    {
      clock,
      check: async () => ({ ok: well, message: "" }),
      onResult: (state, { ok }) => seen.push([clock.now(), ok, state.run]),
    },
    { periodSeconds: 10 },
    true,
  );
  for (let step = 0; step < 60; step++) {
    well = clock.now() >= 12_500;
    clock.advance(250);
    await settle();
  }
  stop();
  assert.deepEqual(
    seen.map(([, ok, run]) => [ok, run]),
    [
      [false, 1],
      [false, 2],
      [true, 1],
    ],
  );
  const [, , success] = seen;
  assert.ok(success !== undefined && success[0] >= 12_500 && success[0] <= 13_250, `seen after ${success?.[0]} ms`);
});

test("a probe that is not quick asks once a period, and not at all behind its stop", async () => {
  const clock = createManualClock(0);
  let checks = 0;
  const check = async () => ({ ok: ++checks > 0, message: "" });
  const stop = startProbe(
    { clock, check, onResult: () => undefined },
    { periodSeconds: 5, initialDelaySeconds: 2 },
    false,
  );
  clock.advance(1_999);
  await settle();
  assert.equal(checks, 0);
  for (let second = 0; second < 11; second++) {
    clock.advance(1_000);
    await settle();
  }
  assert.equal(checks, 3);
  stop();
  clock.advance(60_000);
  await settle();
  assert.equal(checks, 3);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { durationOfMs, parseDurationMs } from "./typed-config.ts";

for (const [text, ms] of [
  ["0s", 0],
  ["1.5s", 1500],
  ["250ms", 250],
  ["1h1m1s1ms", 3_661_001],
  ["1.1s", 1100],
  ["1500us", 2],
  ["1ns", 1],
  ["0.9999999999s", 1000],
  ["99999999999h", 9e12],
  [`${"9".repeat(400)}h`, 9e12],
] as const) {
  test(`${text.slice(0, 20)} is ${ms} ms`, () => assert.equal(parseDurationMs(text), ms));
}

test("milliseconds become whole seconds and the rest in nanoseconds", () => {
  const { seconds, nanos } = durationOfMs(1250);
  assert.deepEqual({ seconds, nanos }, { seconds: 1n, nanos: 250_000_000 });
});

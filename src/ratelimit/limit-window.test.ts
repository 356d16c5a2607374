import assert from "node:assert/strict";
import { test } from "node:test";
import type { RateUnit } from "../mesh/trysail/rate-limit.ts";
import { windowAt } from "./limit-window.ts";

const cases: readonly [unit: RateUnit, now: string, start: string, end: string][] = [
  ["SECOND", "2028-02-29T23:59:59.999Z", "2028-02-29T23:59:59.000Z", "2028-03-01T00:00:00.000Z"],
  ["MINUTE", "2026-11-21T06:05:25.000Z", "2026-11-21T06:05:00.000Z", "2026-11-21T06:06:00.000Z"],
  ["HOUR", "2026-11-21T06:00:00.000Z", "2026-11-21T06:00:00.000Z", "2026-11-21T07:00:00.000Z"],
  ["DAY", "2026-12-31T12:00:00.000Z", "2026-12-31T00:00:00.000Z", "2027-01-01T00:00:00.000Z"],
  ["MONTH", "2028-02-29T12:00:00.000Z", "2028-02-01T00:00:00.000Z", "2028-03-01T00:00:00.000Z"],
  ["MONTH", "2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"],
];

for (const [unit, now, start, end] of cases) {
  test(`the ${unit} of ${now} begins at ${start}`, () => {
    assert.deepEqual(windowAt(unit, Date.parse(now)), { startMs: Date.parse(start), endMs: Date.parse(end) });
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { createFindingsView } from "./findings-view.ts";

test("five findings are shown, and how many more there are", () => {
  const view = createFindingsView(createManualClock(0));
  assert.deepEqual(view(["a", "b", "c", "d", "e"]), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(view(["a", "b", "c", "d", "e", "f", "g"]).slice(4), ["e", "and 2 more findings at /debug/findings"]);
});

test("a finding that is gone is shown as resolved for a while, unless it comes back", () => {
  const clock = createManualClock(0);
  const view = createFindingsView(clock);
  view(["a", "b"]);
  assert.deepEqual(view(["b"]), ["b", "resolved: a"]);
  clock.advance(14_000);
  assert.deepEqual(view(["b"]), ["b", "resolved: a"]);
  clock.advance(1_000);
  assert.deepEqual(view(["b"]), ["b"]);
  view([]);
  assert.deepEqual(view(["b"]), ["b"]);
});

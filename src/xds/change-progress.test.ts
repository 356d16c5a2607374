import assert from "node:assert/strict";
import { test } from "node:test";
import { ChangeProgress } from "./change-progress.ts";

function followed() {
  const converged: number[] = [];
  return { converged, changes: new ChangeProgress((seenAtMs) => converged.push(seenAtMs)) };
}

test("a change has converged when the last stream has answered for it, once", () => {
  const { changes, converged } = followed();
  changes.begin(10, 2);
  changes.answered(0, 1);
  assert.deepEqual(converged, []);
  changes.answered(0, 1);
  changes.answered(1, 1);
  assert.deepEqual(converged, [10]);
});

test("an answer counts for the changes that were read, not for those that came meanwhile", () => {
  const { changes, converged } = followed();
  changes.begin(10, 1);
  const read = changes.latest;
  changes.begin(20, 1);
  changes.answered(0, read);
  assert.deepEqual(converged, [10]);
  changes.answered(read, changes.latest);
  assert.deepEqual(converged, [10, 20]);
});

test("a change that concerns nobody has converged at once", () => {
  const { changes, converged } = followed();
  changes.begin(10, 0);
  assert.deepEqual(converged, [10]);
});

test("behind a stream that never answers, the oldest changes are given up", () => {
  const { changes, converged } = followed();
  for (let seenAtMs = 1; seenAtMs <= 1500; seenAtMs++) changes.begin(seenAtMs, 1);
  changes.answered(0, changes.latest);
  assert.deepEqual([converged.length, converged[0], converged.at(-1)], [1000, 501, 1500]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { CatchUp } from "./catch-up.ts";
import { ChangeProgress } from "./change-progress.ts";

function openStream() {
  const converged: number[] = [];
  const changes = new ChangeProgress((seenAtMs) => converged.push(seenAtMs));
  const stream = new CatchUp(changes);
  stream.begin();
  const change = (nowMs: number) => {
    changes.begin(nowMs, 1);
    stream.told(nowMs);
  };
  return { stream, change, converged };
}

test("a stream is behind from the first change until its proxy has answered for all that it was told of", () => {
  const { stream, change, converged } = openStream();
  assert.equal(stream.answered(), null);
  change(10);
  change(20);
  stream.read();
  assert.equal(stream.behindSinceMs, 10);
  assert.equal(stream.answered(), 10);
  assert.deepEqual([stream.behindSinceMs, stream.answered(), converged], [null, null, [10, 20]]);
});

test("an answer that comes before a further change is read counts for what was read", () => {
  const { stream, change, converged } = openStream();
  change(10);
  stream.read();
  change(20);
  assert.equal(stream.answered(), null);
  assert.deepEqual([stream.behindSinceMs, converged], [10, [10]]);
});

test("nothing waits for a stream that has ended", () => {
  const { stream, change, converged } = openStream();
  change(10);
  stream.end();
  assert.deepEqual(converged, [10]);
});

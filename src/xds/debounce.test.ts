import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { createDebounce } from "./debounce.ts";

function debounce() {
  const clock = createManualClock(0);
  const flushed: string[] = [];
  const it = createDebounce<string>({
    quietMs: 10,
    maxWaitMs: 100,
    clock,
    isUrgent: (event) => event.startsWith("!"),
    flush: (events) => flushed.push(`${clock.now()}: ${events.join(" ")}`),
  });
  return { clock, flushed, it };
}

test("events are flushed together once it has been quiet", () => {
  const { clock, flushed, it } = debounce();
  it.push("a");
  clock.advance(9);
  it.push("b");
  clock.advance(9);
  assert.deepEqual(flushed, []);
  clock.advance(1);
  assert.deepEqual(flushed, ["19: a b"]);
  clock.advance(1000);
  assert.deepEqual(flushed, ["19: a b"]);
});

test("a steady stream is flushed at the latest after the longest wait, and counted anew from there", () => {
  const { clock, flushed, it } = debounce();
  for (let i = 0; i < 30; i++) {
    it.push(`${i}`);
    clock.advance(8);
  }
  assert.equal(flushed.length, 2);
  assert.match(flushed[0] ?? "", /^100: 0 1 .* 12$/);
  assert.match(flushed[1] ?? "", /^204: 13 .* 25$/);
});

test("urgent events go with the next turn, merged, and leave the ordinary ones waiting", () => {
  const { clock, flushed, it } = debounce();
  it.push("a");
  clock.advance(5);
  it.push("!1");
  it.push("!2");
  assert.deepEqual(flushed, []);
  clock.advance(0);
  assert.deepEqual(flushed, ["5: !1 !2"]);
  clock.advance(5);
  assert.deepEqual(flushed, ["5: !1 !2", "10: a"]);
});

test("what is pending when it stops is dropped", () => {
  const { clock, flushed, it } = debounce();
  it.push("a");
  it.push("!b");
  it.stop();
  clock.advance(1000);
  assert.deepEqual(flushed, []);
  assert.equal(clock.pending(), 0);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { createSendBudget } from "./send-budget.ts";

function budget() {
  const clock = createManualClock(0);
  const it = createSendBudget({ maxBytes: 100, holdMs: 1000, clock });
  const sent: string[] = [];
  const releases = new Map<string, () => void>();
  const send = (name: string, bytes: number) =>
    it.whenFree(() => {
      sent.push(name);
      releases.set(name, it.take(bytes));
    });
  return { it, clock, sent, send, release: (name: string) => releases.get(name)?.() };
}

test("who asks while there is room sends at once; the others wait, and are served in the order of asking", () => {
  const { it, sent, send, release } = budget();
  send("a", 60);
  send("b", 60);
  send("c", 60);
  send("d", 10);
  assert.deepEqual(sent, ["a", "b"]);
  assert.deepEqual([it.bytesInFlight, it.waiting], [120, 2]);
  release("a");
  assert.deepEqual(sent, ["a", "b", "c"]);
  release("b");
  assert.deepEqual(sent, ["a", "b", "c", "d"]);
  for (const name of ["c", "d"]) release(name);
  assert.deepEqual([it.bytesInFlight, it.waiting], [0, 0]);
});

test("who has nothing to send any more when its turn comes lets the next one send", () => {
  const { it, sent, send, release } = budget();
  send("a", 100);
  it.whenFree(() => {});
  send("b", 100);
  release("a");
  assert.deepEqual(sent, ["a", "b"]);
});

test("who gives up waiting is not served, and a second release counts for nothing", () => {
  const { it, sent, send, release } = budget();
  send("a", 100);
  const cancel = send("b", 100);
  send("c", 100);
  cancel();
  release("a");
  release("a");
  assert.deepEqual(sent, ["a", "c"]);
  assert.equal(it.bytesInFlight, 100);
});

test("a proxy that does not read holds the others up no longer than the limit", () => {
  const { it, clock, sent, send, release } = budget();
  send("slow", 100);
  send("a", 50);
  clock.advance(999);
  assert.deepEqual(sent, ["slow"]);
  clock.advance(1);
  assert.deepEqual(sent, ["slow", "a"]);
  release("slow");
  assert.equal(it.bytesInFlight, 50);
  release("a");
  assert.equal(clock.pending(), 0);
});

test("thousands that wait with little to send are served without deep recursion", () => {
  const { it, sent, send, release } = budget();
  send("first", 100);
  for (let i = 0; i < 20_000; i++) it.whenFree(() => it.take(1)());
  send("last", 1);
  release("first");
  assert.deepEqual(sent, ["first", "last"]);
});

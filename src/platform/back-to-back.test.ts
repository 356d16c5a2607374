import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createBackToBack } from "./back-to-back.ts";

test("work that came in together is done in its order, with nothing else in between", async () => {
  const inTurn = createBackToBack();
  const done: string[] = [];
  const results = [1, 2, 3].map((piece) => {
    process.nextTick(() => done.push(`read ${piece}`));
    return inTurn(() => done.push(`work ${piece}`));
  });
  assert.deepEqual(done, []);
  await Promise.all(results);
  assert.deepEqual(done, ["read 1", "read 2", "read 3", "work 1", "work 2", "work 3"]);
});

test("what a piece throws is its own, and the next are done all the same", async () => {
  const inTurn = createBackToBack();
  const failing = inTurn(() => {
    throw new Error("no");
  });
  const next = inTurn(() => "yes");
  await assert.rejects(failing, /^Error: no$/);
  assert.equal(await next, "yes");
  assert.equal(await inTurn(() => "and again"), "and again");
});

test("work that takes long leaves room for others before the next piece", async () => {
  const inTurn = createBackToBack();
  const done: string[] = [];
  const long = inTurn(() => {
    const beganMs = performance.now();
    while (performance.now() - beganMs < 20);
    done.push("long");
  });
  const next = inTurn(() => done.push("next"));
  const other = nextTurn().then(() => done.push("other"));
  await Promise.all([long, next, other]);
  assert.deepEqual(done, ["long", "other", "next"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createPushQueue } from "./push-queue.ts";

test("what was added runs once, in order, and until then counts as waiting", async () => {
  const queue = createPushQueue({ sliceMs: 1000 });
  const ran: string[] = [];
  const [a, b] = [() => ran.push("a"), () => ran.push("b")];
  for (const job of [a, b, a]) queue.add(job);
  assert.deepEqual([ran, queue.size], [[], 2]);
  await nextTurn();
  assert.deepEqual([ran, queue.size], [["a", "b"], 0]);
});

test("behind each slice everything else has its turn", async () => {
  const queue = createPushQueue({ sliceMs: 0 });
  const ran: string[] = [];
  for (const name of ["a", "b"]) queue.add(() => ran.push(name));
  await nextTurn();
  assert.deepEqual([ran, queue.size], [["a"], 1]);
  await nextTurn();
  assert.deepEqual([ran, queue.size], [["a", "b"], 0]);
});

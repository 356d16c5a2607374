import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turns } from "node:timers/promises";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { createSigningQueue } from "./signing-queue.ts";

/** Tasks that run until the test lets them end. */
function manualTasks() {
  const started: number[] = [];
  const ends: (() => void)[] = [];
  const task = (id: number) => () => {
    started.push(id);
    return new Promise<number>((resolve) => ends.push(() => resolve(id)));
  };
  return { started, task, endOldest: () => ends.shift()?.() };
}

test("tasks run in their order, so many at one time, and a task that comes late takes no one's turn", async () => {
  const queue = createSigningQueue({ atOnce: 2, maxWaiting: 10 });
  const { started, task, endOldest } = manualTasks();
  const running = [1, 2, 3, 4].map((id) => queue.run("cart", task(id)));
  await turns();
  assert.deepEqual([started, queue.waiting], [[1, 2], 2]);
  endOldest();
  await running[0];
  running.push(queue.run("cart", task(5)));
  for (const next of [2, 3, 4, 5]) {
    assert.ok(started.length <= next + 1, `${started.length} started while ${next - 1} had ended`);
    endOldest();
    await running[next - 1];
    await turns();
  }
  assert.deepEqual(started, [1, 2, 3, 4, 5]);
  assert.equal(queue.waiting, 0);
});

test("the moment in which a turn passes on is no gap for one more task", async () => {
  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 10 });
  let running = 0;
  let most = 0;
  const task = async () => {
    running++;
    most = Math.max(most, running);
    await Promise.resolve();
    running--;
  };
  const late: Promise<void>[] = [];
  const early = queue.run("cart", task).then(() => late.push(queue.run("cart", task)));
  await Promise.all([early, queue.run("cart", task), queue.run("cart", task)]);
  await Promise.all(late);
  assert.deepEqual([most, late.length], [1, 1]);
});

test("where a task takes long, who has waited long for it is sent away, and leaves its place to others", {
  timeout: 20_000,
}, async () => {
  const clock = createManualClock(0);
  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 2, patience: { ms: 1000, clock } });
  const { started, task, endOldest } = manualTasks();
  const overloaded = { code: "resource-exhausted", reason: "overloaded" };
  const first = queue.run("cart", task(1));
  const second = queue.run("cart", task(2));
  clock.advance(600);
  const [third, fourth] = [queue.run("page", task(3)), queue.run("page", task(4))];
  await assert.rejects(fourth, overloaded, "as ever where too many wait");
  const sentAway = assert.rejects(second, overloaded);
  clock.advance(400);
  await sentAway;
  assert.equal(queue.waiting, 1);
  const fifth = queue.run("cart", task(5));
  endOldest();
  assert.equal(await first, 1);
  await turns();
  // Who has begun is not hurried.
  clock.advance(5000);
  await assert.rejects(fifth, overloaded);
  endOldest();
  assert.equal(await third, 3);
  assert.deepEqual(started, [1, 3]);
  assert.deepEqual([queue.waiting, clock.pending()], [0, 0]);
});

test("where too many wait, the next is sent away at once, and there is room again when one has ended", async () => {
  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 1 });
  const { task, endOldest } = manualTasks();
  const [first, second] = [queue.run("cart", task(1)), queue.run("cart", task(2))];
  await assert.rejects(queue.run("cart", task(3)), { code: "resource-exhausted", reason: "overloaded" });
  await turns();
  endOldest();
  await first;
  const third = queue.run("cart", async () => "ran");
  await turns();
  endOldest();
  assert.deepEqual([await second, await third], [2, "ran"]);
});

test("a task that fails gives its turn on", async () => {
  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 1 });
  const failed = queue.run("cart", () => Promise.reject(new Error("no")));
  const next = queue.run("cart", async () => "ran");
  await assert.rejects(failed, /no/);
  assert.equal(await next, "ran");
});

test("owners take turns, however many tasks one of them has waiting", async () => {
  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 100 });
  const { started, task, endOldest } = manualTasks();
  const greedy = Array.from({ length: 50 }, (_, index) => queue.run("greedy", task(index)));
  const modest = [100, 101].map((id) => queue.run("modest", task(id)));
  const other = queue.run("other", task(200));
  for (let ended = 0; ended < 6; ended++) {
    await turns();
    endOldest();
  }
  await Promise.all([...modest, other]);
  await turns();
  assert.deepEqual(started, [0, 1, 100, 200, 2, 101, 3]);
  while (queue.waiting > 0) {
    endOldest();
    await turns();
  }
  endOldest();
  await Promise.all(greedy);
});

test("where too many wait, whoever has the most of them is sent away, and not who comes with a first one", async () => {
  const queue = createSigningQueue({ atOnce: 1, maxWaiting: 3 });
  const { started, task, endOldest } = manualTasks();
  const greedy = [1, 2, 3, 4].map((id) => queue.run("greedy", task(id)));
  const refused = assert.rejects(greedy[3] ?? Promise.resolve(), { reason: "overloaded" });
  const modest = queue.run("modest", task(5));
  await refused;
  await assert.rejects(queue.run("greedy", task(6)), { reason: "overloaded" });
  assert.equal(queue.waiting, 3);
  for (let ended = 0; ended < 4; ended++) {
    await turns();
    endOldest();
  }
  await Promise.all([...greedy.slice(0, 3), modest]);
  assert.deepEqual(started, [1, 2, 5, 3]);
  assert.equal(queue.waiting, 0);
});

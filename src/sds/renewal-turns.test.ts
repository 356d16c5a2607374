import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createRenewalTurns } from "./renewal-turns.ts";

test("of many at once only so many run, all end, and timers get in between", async () => {
  const turns = createRenewalTurns({ atOnce: 3 });
  let running = 0;
  let most = 0;
  let done = 0;
  let seenInBetween = 0;
  const all = Promise.all(
    Array.from({ length: 30 }, () =>
      turns.run(async () => {
        most = Math.max(most, ++running);
        await Promise.resolve();
        running--;
        done++;
      }),
    ),
  );
  while (done < 30) {
    await turn();
    seenInBetween++;
  }
  await all;
  assert.equal(most, 3);
  assert.ok(seenInBetween >= 9, `the loop turned ${seenInBetween} times`);
});

test("one that fails says so and makes room for the next", async () => {
  const turns = createRenewalTurns({ atOnce: 1 });
  const failed = turns.run(() => Promise.reject(new Error("no")));
  const next = turns.run(async () => "yes");
  await assert.rejects(failed, /no/);
  assert.equal(await next, "yes");
});

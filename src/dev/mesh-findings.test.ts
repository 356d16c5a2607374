import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { serveDebugPages } from "../../test/support/debug-pages.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { until } from "../../test/support/until.ts";
import { followMeshFindings } from "./mesh-findings.ts";

/** A control plane that answers what the test says, to whoever has the token. */
async function setUp(t: TestContext) {
  const answer = { status: 200, body: "[]" };
  let asked = 0;
  const pages = await serveDebugPages(t, () => {
    asked++;
    return answer;
  });
  const clock = createManualClock(0);
  let changes = 0;
  const url = `${pages}/debug/findings`;
  const followed = followMeshFindings({ clock, url, token: async () => "admin", onChange: () => void changes++ });
  t.after(() => followed.stop());
  const answered = () => until("the next look to be due", () => clock.pending() === 1);
  await answered();
  return {
    answer,
    followed,
    clock,
    changes: () => changes,
    asked: () => asked,
    async again() {
      clock.advance(1_000);
      await answered();
    },
  };
}

const finding = { severity: "warning", code: "reference-missing", message: "names nothing" };

test("what the control plane finds is known, and a change is told once", async (t) => {
  const { answer, followed, changes, again } = await setUp(t);
  assert.deepEqual(followed.current(), []);
  answer.body = JSON.stringify([finding]);
  await again();
  await again();
  assert.deepEqual([followed.current(), changes()], [[finding], 1]);
  answer.body = "[]";
  await again();
  assert.deepEqual([followed.current(), changes()], [[], 2]);
});

for (const [what, status, body] of [
  ["an error", 500, '{"error":"internal error"}'],
  ["no finding", 200, '[{"severity":"loud"}]'],
  ["no JSON", 200, "<html>"],
] as const) {
  test(`an answer that is ${what} changes nothing, and it is asked again`, async (t) => {
    const { answer, followed, changes, again } = await setUp(t);
    answer.body = JSON.stringify([finding]);
    await again();
    Object.assign(answer, { status, body });
    await again();
    assert.deepEqual([followed.current(), changes()], [[finding], 1]);
    Object.assign(answer, { status: 200, body: "[]" });
    await again();
    assert.deepEqual(followed.current(), []);
  });
}

test("nothing is asked behind the stop", async (t) => {
  const { followed, clock, asked } = await setUp(t);
  followed.stop();
  assert.deepEqual([clock.pending(), asked()], [0, 1]);
});

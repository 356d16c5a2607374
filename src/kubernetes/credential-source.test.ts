import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { istio } from "../../test/support/manifests.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { objectsOf, setOf } from "../../test/support/mesh.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { createLog } from "../platform/log.ts";
import type { Source } from "../sources/source.ts";
import { createCredentialSource } from "./credential-source.ts";

const rules = (count: number) =>
  setOf(
    objectsOf(
      Array.from({ length: count }, (_, i) =>
        istio("DestinationRule", `bank-${i}`, {
          host: "bank.test",
          workloadSelector: { matchLabels: { app: "web" } },
          trafficPolicy: { tls: { mode: "MUTUAL", credentialName: `bank-${i}` } },
        }),
      ).join(""),
    ),
  );

/** Before an API server that is played: it has no Secrets, and answers lists only once it is told to. */
function sourceOf(t: TestContext, initial: ObjectSet) {
  const clock = createManualClock(0);
  const asked = new Set<string>();
  const open = new Set<string>();
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  let set = initial;
  let tell: (changed: ObjectSet) => void = () => {};
  const inner: Source = {
    start: async () => {},
    current: () => set,
    onChange(listener) {
      tell = listener;
      return () => {};
    },
    stop: async () => {},
  };
  const source = createCredentialSource({
    source: inner,
    client: {
      async *list(_path, { query = {} } = {}) {
        asked.add(query.fieldSelector ?? "everything");
        await answered;
        yield { items: [], resourceVersion: "1", more: false };
      },
      async watch(_path, { query = {}, signal }) {
        const name = query.fieldSelector ?? "everything";
        open.add(name);
        return (async function* () {
          await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
          open.delete(name);
        })();
      },
    },
    clock,
    random: { fraction: () => 0 },
    log: createLog("silent"),
  });
  t.after(() => source.stop());
  return {
    ...{ source, clock, asked, open, answer },
    change(changed: ObjectSet) {
      set = changed;
      tell(changed);
    },
    async settle() {
      for (let i = 0; i < 50; i++) await turn();
    },
  };
}

test("a start waits for the Secrets that rules name, and not for ever", async (t) => {
  for (const isAnswered of [true, false]) {
    const { source, clock, answer, settle } = sourceOf(t, rules(1));
    let started = false;
    const start = source.start().then(() => {
      started = true;
    });
    await settle();
    assert.equal(started, false);
    if (isAnswered) answer();
    else clock.advance(5000);
    await start;
  }
});

test("each is asked for by its name and nothing else, and no longer than a rule names it", async (t) => {
  const { source, asked, open, answer, change, settle } = sourceOf(t, rules(2));
  answer();
  await source.start();
  await settle();
  const names = ["bank-0", "bank-0-cacert", "bank-1", "bank-1-cacert"].map((name) => `metadata.name=${name}`);
  assert.deepEqual([...asked].toSorted(), names);
  assert.deepEqual([...open].toSorted(), names);
  change(rules(1));
  await settle();
  assert.deepEqual([...open].toSorted(), names.slice(0, 2));
  await source.stop();
  await settle();
  assert.equal(open.size, 0);
});

test("of too many the rest is not asked for, and the rules that name them say so", async (t) => {
  const { source, asked, answer } = sourceOf(t, rules(300));
  answer();
  await source.start();
  assert.equal(asked.size, 500);
  const { findings } = source.current();
  assert.equal(findings.length, 50);
  assert.match(findings[0]?.message ?? "", /names Secret shop\/bank-\d+, but 500 Secrets are read already/);
});

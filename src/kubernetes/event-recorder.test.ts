import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import { createEventRecorder, type EventLimits, type RecordedEvent } from "./event-recorder.ts";

interface Written {
  readonly verb: "create" | "patch";
  readonly path: string;
  readonly count: number;
}

function recorderOf(t: TestContext, limits: Partial<EventLimits> = {}) {
  const clock = createManualClock(0);
  const written: Written[] = [];
  let failure: TrysailError | undefined;
  let dropped = 0;
  let made = 0;
  const take = async (verb: Written["verb"], path: string, body: string) => {
    if (failure !== undefined) throw failure;
    const count: unknown = /"count":(\d+)/.exec(body)?.[1];
    written.push({ verb, path, count: Number(count ?? 1) });
    return { metadata: {} };
  };
  const recorder = createEventRecorder({
    client: {
      create: (path, object) => take("create", path, JSON.stringify(object)),
      patch: (path, patch) => take("patch", path, JSON.stringify(patch)),
    },
    clock,
    random: { bytes: (length) => new Uint8Array(length).fill(++made) },
    log: createLog("silent"),
    instance: "trysail-0",
    metrics: { dropped: () => dropped++ },
    limits,
  });
  t.after(() => recorder.stop());
  return {
    record: recorder.record,
    written,
    dropped: () => dropped,
    fail(error: TrysailError | undefined) {
      failure = error;
    },
    skip: (ms: number) => clock.advance(ms),
    async pass(seconds: number) {
      for (let i = 0; i < seconds * 4; i++) {
        clock.advance(250);
        for (let j = 0; j < 200; j++) await turn();
      }
    },
  };
}

function eventOf(name: string, note = "why"): RecordedEvent {
  const regarding = { apiVersion: "apps/v1", kind: "ReplicaSet", namespace: "shop", name };
  return { regarding, type: "Warning", reason: "SidecarDenied", action: "Inject", note };
}

test("the same event many times is one object with a count", async (t) => {
  const { record, written, pass } = recorderOf(t);
  for (let i = 0; i < 1000; i++) record(eventOf("web"));
  await pass(1);
  assert.deepEqual(written, [{ verb: "create", path: "/apis/events.k8s.io/v1/namespaces/shop/events", count: 1000 }]);
});

test("repetitions raise the count of what was written, but not at once each", async (t) => {
  const { record, written, pass } = recorderOf(t);
  record(eventOf("web"));
  await pass(1);
  for (let i = 0; i < 30; i++) {
    record(eventOf("web"));
    await pass(1);
  }
  assert.equal(written.length, 1);
  await pass(31);
  const name = "web.0101010101010101";
  assert.deepEqual(written.slice(1), [
    { verb: "patch", path: `/apis/events.k8s.io/v1/namespaces/shop/events/${name}`, count: 31 },
  ]);
});

test("an event behind others' repetitions is not kept waiting by them", async (t) => {
  const { record, written, pass } = recorderOf(t);
  record(eventOf("web"));
  await pass(1);
  record(eventOf("web"));
  await pass(1);
  record(eventOf("api"));
  await pass(1);
  assert.deepEqual(
    written.map(({ verb }) => verb),
    ["create", "create"],
  );
});

test("a flood is written as fast as the limits allow", async (t) => {
  const { record, written, pass } = recorderOf(t, { burst: 10, perSecond: 2 });
  for (let i = 0; i < 100; i++) record(eventOf(`web-${i}`));
  await pass(1);
  assert.ok(written.length >= 10 && written.length <= 12, `${written.length} in the first second`);
  await pass(10);
  assert.ok(written.length >= 30 && written.length <= 32, `${written.length} behind 11 s`);
});

test("of more different events than are remembered the oldest are dropped, and counted", async (t) => {
  const { record, written, dropped, pass } = recorderOf(t, { remembered: 5 });
  for (let i = 0; i < 8; i++) record(eventOf(`web-${i}`));
  await pass(1);
  assert.deepEqual([written.length, dropped()], [5, 3]);
});

test("what cannot be written for a while is written later, what never can is dropped", async (t) => {
  const { record, written, dropped, pass, fail } = recorderOf(t);
  record(eventOf("web"));
  fail(new TrysailError("unavailable", "away"));
  await pass(0.25);
  fail(new TrysailError("resource-exhausted", "busy"));
  await pass(0.25);
  fail(undefined);
  await pass(1);
  assert.deepEqual([written.length, dropped()], [1, 0]);
  fail(new TrysailError("permission-denied", "no"));
  record(eventOf("api"));
  await pass(10);
  assert.deepEqual([written.length, dropped()], [1, 1]);
});

test("behind an hour the same event is a new object", async (t) => {
  const { record, written, pass, skip } = recorderOf(t);
  record(eventOf("web"));
  await pass(1);
  skip(46 * 60_000);
  record(eventOf("web"));
  await pass(1);
  assert.deepEqual(
    written.map(({ verb }) => verb),
    ["create", "create"],
  );
});

test("a flood of one namespace's Events does not keep another's from being written", async (t) => {
  const { record, written, pass } = recorderOf(t, { perSecond: 1, burst: 2 });
  for (let i = 0; i < 500; i++) record(eventOf(`forged-${i}`));
  const web = eventOf("web");
  record({ ...web, regarding: { ...web.regarding, namespace: "edge" } });
  await pass(1);
  assert.deepEqual(
    written.map(({ path }) => path),
    ["shop", "edge"].map((namespace) => `/apis/events.k8s.io/v1/namespaces/${namespace}/events`),
  );
});

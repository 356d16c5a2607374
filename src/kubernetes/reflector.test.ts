import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { TrysailError } from "../platform/errors.ts";
import type { ListPage } from "./client.ts";
import { type ReflectorState, startReflector } from "./reflector.ts";
import type { WatchEvent } from "./watch-events.ts";

/** What an API server answers to one call: a list, the events of a watch and how it ends, or a refusal. */
type Answer =
  | { readonly list: readonly string[]; readonly version: string; readonly breaksWith?: TrysailError }
  | { readonly events: readonly WatchEvent[]; readonly ending: TrysailError | "end" | "silence" | Promise<void> }
  | { readonly refusal: TrysailError };

const failure = (code: TrysailError["code"]) => new TrysailError(code, code);

function event(type: WatchEvent["type"], name: string, resourceVersion: string): WatchEvent {
  return { type, object: { metadata: { name, resourceVersion } } };
}

/** A reflector in front of an API server that gives these answers, one a call, and is silent behind the last. */
function reflectorOf(t: TestContext, answers: readonly Answer[]) {
  const clock = createManualClock(0);
  const calls: string[] = [];
  const known = new Set<string>();
  const states: ReflectorState["status"][] = [];
  const left = [...answers];
  const never = new Promise<never>(() => {});
  const stop = startReflector({
    clock,
    random: { fraction: () => 0 },
    path: "/things",
    timing: { firstRetryMs: 100, longestRetryMs: 1000, pollMs: 5000 },
    client: {
      async *list(_path, { pageSize } = {}): AsyncGenerator<ListPage> {
        calls.push(pageSize === 0 ? "list whole" : "list");
        const answer = left.shift() ?? (await never);
        if ("refusal" in answer) throw answer.refusal;
        assert.ok("list" in answer, "a list was asked for");
        const items = answer.list.map((name) => ({ metadata: { name } }));
        yield { items, resourceVersion: answer.version, more: answer.breaksWith !== undefined };
        if (answer.breaksWith !== undefined) throw answer.breaksWith;
      },
      async watch(_path, { resourceVersion }) {
        calls.push(`watch ${resourceVersion}`);
        const answer = left.shift() ?? { events: [], ending: "silence" };
        if ("refusal" in answer) throw answer.refusal;
        assert.ok("events" in answer, "a watch was asked for");
        return (async function* () {
          yield* answer.events;
          if (answer.ending === "silence") await never;
          if (answer.ending instanceof Promise) await answer.ending;
          if (answer.ending instanceof TrysailError) throw answer.ending;
        })();
      },
    },
    sink: {
      beginList() {
        const listed: string[] = [];
        return {
          add: (items) => listed.push(...items.map(({ metadata }) => metadata.name ?? "")),
          end() {
            known.clear();
            for (const name of listed) known.add(name);
          },
        };
      },
      apply({ type, object }) {
        const { name = "" } = object.metadata;
        if (type === "DELETED") known.delete(name);
        else known.add(name);
      },
      stateChanged: ({ status }) => states.push(status),
    },
  });
  t.after(stop);
  return {
    calls,
    states,
    known: () => [...known].sort(),
    /** Lets everything happen that needs no time, then moves time on. */
    async advance(ms: number) {
      for (let i = 0; i < 10; i++) await turn();
      clock.advance(ms);
      for (let i = 0; i < 10; i++) await turn();
    },
    setClock: clock.set,
  };
}

const LIST: Answer = { list: ["a", "b"], version: "10" };
const QUIET: Answer = { events: [], ending: "silence" };

test("a watch goes on from the last event, a bookmark among them, when it ends", async (t) => {
  const events = [event("ADDED", "c", "11"), event("DELETED", "a", "12"), event("BOOKMARK", "", "20")];
  const reflector = reflectorOf(t, [LIST, { events, ending: "end" }, QUIET]);
  await reflector.advance(0);
  assert.deepEqual(reflector.calls, ["list", "watch 10", "watch 20"]);
  assert.deepEqual(reflector.known(), ["b", "c"]);
  assert.deepEqual(reflector.states, ["synced"]);
});

test("events that are told twice, or of objects that are not known, do no harm", async (t) => {
  const events = [event("MODIFIED", "new", "11"), event("ADDED", "a", "12"), event("DELETED", "gone", "13")];
  const reflector = reflectorOf(t, [LIST, { events, ending: "silence" }]);
  await reflector.advance(0);
  assert.deepEqual(reflector.known(), ["a", "b", "new"]);
});

test("events that are out of order are not believed: what there is now is listed", async (t) => {
  const events = [event("DELETED", "a", "12"), event("MODIFIED", "a", "9"), event("ADDED", "c", "13")];
  const now: Answer = { list: ["b", "d"], version: "30" };
  const reflector = reflectorOf(t, [LIST, { events, ending: "silence" }, now, QUIET]);
  await reflector.advance(0);
  assert.deepEqual(reflector.known(), ["b"]);
  await reflector.advance(100);
  assert.deepEqual(reflector.calls, ["list", "watch 10", "list", "watch 30"]);
  assert.deepEqual(reflector.known(), ["b", "d"]);
  assert.deepEqual(reflector.states, ["synced", "failing", "synced"]);
});

test("a connection that breaks is taken up where it broke, with growing pauses", async (t) => {
  const broken: Answer = { refusal: failure("unavailable") };
  const first: Answer = { events: [event("ADDED", "c", "11")], ending: failure("unavailable") };
  const reflector = reflectorOf(t, [LIST, first, broken, QUIET]);
  await reflector.advance(99);
  assert.deepEqual(reflector.calls, ["list", "watch 10"]);
  await reflector.advance(1);
  assert.deepEqual(reflector.calls, ["list", "watch 10", "watch 11"]);
  await reflector.advance(199);
  assert.equal(reflector.calls.length, 3);
  await reflector.advance(1);
  assert.deepEqual(reflector.calls.slice(3), ["watch 11"]);
  assert.deepEqual(reflector.states, ["synced", "failing", "synced"]);
  assert.deepEqual(reflector.known(), ["a", "b", "c"]);
});

test("a forgotten version makes a list at once, and what is not in it is gone", async (t) => {
  const forgotten: Answer = { events: [], ending: failure("failed-precondition") };
  const reflector = reflectorOf(t, [LIST, forgotten, { list: ["b", "d"], version: "30" }, QUIET]);
  await reflector.advance(0);
  await reflector.advance(0);
  assert.deepEqual(reflector.calls, ["list", "watch 10", "list", "watch 30"]);
  assert.deepEqual(reflector.known(), ["b", "d"]);
});

test("a server that forgets every version is not asked in a loop", async (t) => {
  const forgotten: Answer = { refusal: failure("failed-precondition") };
  const reflector = reflectorOf(t, [LIST, forgotten, LIST, forgotten, LIST, forgotten, LIST, QUIET]);
  await reflector.advance(0);
  await reflector.advance(0);
  assert.equal(reflector.calls.length, 4);
  await reflector.advance(199);
  assert.equal(reflector.calls.length, 4);
  await reflector.advance(1);
  assert.equal(reflector.calls.length, 6);
});

test("a list whose pages are forgotten while it is read is read as one, and never counts in part", async (t) => {
  const torn: Answer = { list: ["a"], version: "10", breaksWith: failure("failed-precondition") };
  const reflector = reflectorOf(t, [torn, { list: ["a", "b", "c"], version: "12" }, QUIET]);
  await reflector.advance(0);
  assert.deepEqual(reflector.calls, ["list", "list whole", "watch 12"]);
  assert.deepEqual(reflector.known(), ["a", "b", "c"]);
});

test("a version that is never served, as behind a restored backup, is given up for a list", async (t) => {
  const tooNew: Answer = { refusal: failure("unavailable") };
  const reflector = reflectorOf(t, [LIST, tooNew, tooNew, tooNew, { list: ["z"], version: "3" }, QUIET]);
  for (let i = 0; i < 4; i++) await reflector.advance(1000);
  assert.deepEqual(reflector.calls, ["list", "watch 10", "watch 10", "watch 10", "list", "watch 3"]);
  assert.deepEqual(reflector.known(), ["z"]);
});

test("a watch that lasted is no failure, though the time of day was set back meanwhile", async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const reflector = reflectorOf(t, [LIST, { events: [], ending: promise }, QUIET]);
  await reflector.advance(300_000);
  reflector.setClock(0);
  resolve();
  await reflector.advance(0);
  assert.deepEqual(reflector.calls, ["list", "watch 10", "watch 10"]);
  assert.deepEqual(reflector.states, ["synced"]);
});

test("watches that end as soon as they begin are not begun in a loop", async (t) => {
  const empty: Answer = { events: [], ending: "end" };
  const reflector = reflectorOf(t, [LIST, empty, empty, QUIET]);
  await reflector.advance(0);
  assert.equal(reflector.calls.length, 2);
  await reflector.advance(100);
  assert.equal(reflector.calls.length, 3);
});

test("what may not be watched is listed every now and then", async (t) => {
  const denied: Answer = { refusal: failure("permission-denied") };
  const reflector = reflectorOf(t, [LIST, denied, { list: ["c"], version: "11" }, denied, LIST, QUIET]);
  await reflector.advance(4999);
  assert.deepEqual([reflector.calls.length, reflector.states], [2, ["polling"]]);
  await reflector.advance(1);
  assert.deepEqual(reflector.known(), ["c"]);
  await reflector.advance(5000);
  assert.deepEqual(reflector.states, ["polling", "synced"]);
});

test("what may not be listed stays as it was, and is tried again", async (t) => {
  const denied: Answer = { refusal: failure("permission-denied") };
  const lost: Answer = { events: [], ending: failure("failed-precondition") };
  const reflector = reflectorOf(t, [LIST, lost, denied, LIST, QUIET]);
  await reflector.advance(0);
  await reflector.advance(0);
  assert.deepEqual([reflector.known(), reflector.states.at(-1)], [["a", "b"], "forbidden"]);
  await reflector.advance(5000);
  assert.equal(reflector.states.at(-1), "synced");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { BuildCache } from "./build-cache.ts";

test("a builder runs once for one input, however often it is asked", () => {
  const cache = new BuildCache();
  const join = (a: { text: string }, b: number) => ({ text: `${a.text}${b}` });
  const a = { text: "a" };
  assert.equal(cache.get(join, a, 1), cache.get(join, a, 1));
  assert.deepEqual([cache.built, cache.reused], [1, 1]);
});

test("every part of the input counts, by identity", () => {
  const cache = new BuildCache();
  const list = (...input: readonly [object, unknown?, unknown?]) => [...input];
  const a = {};
  const inputs: [object, unknown?, unknown?][] = [
    [a],
    [{}],
    [a, undefined],
    [a, null],
    [a, ""],
    [a, 1],
    [a, "1"],
    [a, 1, 2],
    [a, a],
  ];
  const results = inputs.map((input) => cache.get(list, ...input));
  assert.equal(new Set(results).size, inputs.length);
  assert.deepEqual(results, inputs);
});

test("two builders never share a result", () => {
  const cache = new BuildCache();
  const input = {};
  const [one, two] = [() => "one", () => "two"];
  assert.deepEqual([cache.get(one, input), cache.get(two, input)], ["one", "two"]);
});

test("a result of undefined is kept too", () => {
  const cache = new BuildCache();
  const nothing = (_: object) => undefined;
  const input = {};
  cache.get(nothing, input);
  cache.get(nothing, input);
  assert.equal(cache.built, 1);
});

test("a builder that throws is asked again", () => {
  const cache = new BuildCache();
  let fails = true;
  const build = (_: object) => {
    if (fails) throw new Error("not yet");
    return "done";
  };
  const input = {};
  assert.throws(() => cache.get(build, input), /not yet/);
  fails = false;
  assert.equal(cache.get(build, input), "done");
});

test("verification catches a builder that reads what it was not given", () => {
  const cache = new BuildCache({ verify: true });
  let hidden = 1;
  const readsMore = (input: { own: number }) => ({ sum: input.own + hidden });
  const input = { own: 1 };
  assert.deepEqual(cache.get(readsMore, input), { sum: 2 });
  assert.deepEqual(cache.get(readsMore, input), { sum: 2 });
  hidden = 2;
  assert.throws(() => cache.get(readsMore, input), /readsMore read something that is not among its inputs/);
  assert.deepEqual(new BuildCache().get(readsMore, input), { sum: 3 });
});

test("a list keeps its identity while its members do, within a round and from one to the next", () => {
  const cache = new BuildCache();
  const [a, b] = [{}, {}];
  const first = cache.list("key", [a, b]);
  assert.equal(cache.list("key", [a, b]), first);
  cache.endRound();
  assert.equal(cache.list("key", [a, b]), first);
  assert.notEqual(cache.list("key", [b, a]), first, "order counts");
  assert.notEqual(cache.list("key", [a]), first);
  assert.notEqual(cache.list("other", [a, b]), first);
});

test("a list that a round did not ask for is forgotten", () => {
  const cache = new BuildCache();
  const a = {};
  const first = cache.list("key", [a]);
  cache.endRound();
  cache.list("other", [a]);
  cache.endRound();
  assert.notEqual(cache.list("key", [a]), first);
});

test("rounds in which nobody asked forget nothing: whoever keeps the whole need not ask for its parts", () => {
  const cache = new BuildCache();
  const a = {};
  const first = cache.list("key", [a]);
  for (let round = 0; round < 3; round++) cache.endRound();
  assert.equal(cache.list("key", [a]), first);
});

test("parts have rounds of their own, and are verified and counted with the whole", () => {
  const cache = new BuildCache({ verify: true });
  const parts = cache.ofParts();
  const a = {};
  const first = parts.list("key", [a]);
  for (let round = 0; round < 3; round++) {
    cache.list("key", [a]);
    cache.endRound();
  }
  assert.equal(parts.list("key", [a]), first);
  let hidden = 1;
  const readsMore = (_: object) => hidden;
  parts.get(readsMore, a);
  assert.deepEqual([cache.built, cache.reused], [1, 0]);
  hidden = 2;
  assert.throws(() => parts.get(readsMore, a), /not among its inputs/);
});

test("of many results that one object asks for each counts by its whole input", () => {
  const cache = new BuildCache();
  const [key, other] = [{}, {}];
  const build = (_: object, which: unknown, flag: unknown) => ({ which, flag });
  const ask = () => Array.from({ length: 1000 }, (_, which) => cache.get(build, key, which, which % 2 ? other : key));
  const first = ask();
  assert.deepEqual(ask(), first);
  assert.deepEqual([cache.built, cache.reused], [1000, 1000]);
  for (const odd of ["1", "1\n1", null, undefined, true]) {
    assert.deepEqual(cache.get(build, key, odd, other), { which: odd, flag: other });
  }
});

test("of many results those that two rounds had no use for make room too", () => {
  const cache = new BuildCache();
  const key = {};
  const build = (_: object, which: number) => ({ which });
  const ask = (from: number, count: number) =>
    Array.from({ length: count }, (_, at) => cache.get(build, key, from + at));
  const first = ask(0, 100);
  cache.endRound();
  assert.deepEqual(ask(0, 50), first.slice(0, 50));
  cache.endRound();
  ask(1000, 1);
  assert.equal(ask(0, 1)[0], first[0], "what the last round used stays");
  const { built } = cache;
  ask(50, 50);
  assert.equal(cache.built, built + 50, "what it had no use for is gone");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { textSet } from "../../test/support/xds-messages.ts";
import { NameTable } from "./name-set.ts";
import { ResourceSet, TYPE_URL } from "./resource-set.ts";
import { emptySet, selectNames, stepTowards, unionOf, updateBetween } from "./update.ts";

const typeUrl = TYPE_URL.endpoint;
const before = textSet(typeUrl, { a: "1", b: "1", c: "1" });
const after = textSet(typeUrl, { b: "2", c: "1", d: "1" });

function contents(set: ResourceSet): string[] {
  return [...set.byName.values()].map(({ bytes }) => Buffer.from(bytes).toString());
}

test("an update holds what is new or changed, and the names that are gone", () => {
  const { resources, removed, version } = updateBetween(before, after);
  assert.deepEqual(
    resources.map(({ name }) => name),
    ["b", "d"],
  );
  assert.deepEqual(removed, ["a"]);
  assert.equal(version, after.version);
});

test("the same two sets give the same update, and the way back another", () => {
  assert.equal(updateBetween(before, after), updateBetween(before, after));
  assert.notEqual(updateBetween(before, after), updateBetween(after, before));
});

test("a union has the new versions and what only the old set has", () => {
  assert.deepEqual(contents(unionOf(before, after)), ["a=1", "b=2", "c=1", "d=1"]);
  assert.equal(unionOf(before, after), unionOf(before, after));
});

test("resources that go alone come one by one behind the others, and what is gone goes with the last", () => {
  const fragile = [...textSet(typeUrl, { x: "1", y: "1" }).byName.values()].map(
    (resource) => ({ ...resource, goesAlone: true }) as const,
  );
  const goal = new ResourceSet(typeUrl, [...after.byName.values(), ...fragile]);
  const steps: string[][] = [];
  for (let at = before; at.version !== goal.version; at = stepTowards(at, goal)) {
    steps.push(updateBetween(at, stepTowards(at, goal)).resources.map(({ name }) => name));
    assert.equal(at.byName.has("a"), true, "what is gone is there until the last step");
  }
  assert.deepEqual(steps, [["b", "d"], ["x"], ["y"]]);
  assert.equal(stepTowards(before, after), after);
});

test("a union with nothing to add or to keep is one of its sets", () => {
  assert.equal(unionOf(before, before), before);
  assert.equal(unionOf(before, emptySet(typeUrl)), before);
  assert.equal(unionOf(emptySet(typeUrl), after), after);
  assert.equal(unionOf(textSet(typeUrl, { b: "1" }), after), after);
});

test("selecting all names answers the set itself, selecting some the same object each time", () => {
  const table = new NameTable();
  assert.equal(selectNames(before, table.of(["c", "b", "a", "more"])), before);
  assert.deepEqual(contents(selectNames(before, table.of(["c", "more"]))), ["c=1"]);
  assert.equal(selectNames(before, table.of(["c", "a"])), selectNames(before, table.of(["a", "c"])));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { RecentMap } from "./recent-map.ts";

test("what was set is there, until there is no more room for it", () => {
  const map = new RecentMap<number>(4);
  map.set("a", 1, 1);
  assert.equal(map.get("a"), 1);
  assert.equal(map.get("b"), undefined);
  for (const key of ["b", "c", "d", "e", "f"]) map.set(key, 0, 1);
  assert.equal(map.get("a"), undefined);
});

test("what is asked for again and again stays, whatever else comes", () => {
  const map = new RecentMap<number>(10);
  map.set("kept", 1, 1);
  for (let other = 0; other < 100; other++) {
    map.set(`other-${other}`, 0, 1);
    assert.equal(map.get("kept"), 1, `behind ${other} others`);
  }
});

test("what weighs more than half of the room is not kept, nor what it was to replace", () => {
  const map = new RecentMap<string>(10);
  map.set("a", "light", 1);
  map.set("a", "heavy", 6);
  assert.equal(map.get("a"), undefined);
  assert.equal(map.weight, 0);
});

test("the weight is that of what is there, never more than was allowed, and what is found is what was set last", () => {
  const step = fc.record({
    key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    weight: fc.option(fc.integer({ min: 1, max: 8 })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const map = new RecentMap<number>(12);
      const last = new Map<string, { value: number; weight: number }>();
      for (const [value, { key, weight }] of steps.entries()) {
        if (weight === null) {
          const found = map.get(key);
          if (found !== undefined) assert.equal(found, last.get(key)?.value);
        } else {
          map.set(key, value, weight);
          last.set(key, { value, weight });
        }
        assert.ok(map.weight <= 12, `weighs ${map.weight}`);
      }
      const weight = map.weight;
      let found = 0;
      for (const [key, { weight: own }] of last) if (map.get(key) !== undefined) found += own;
      assert.ok(found <= weight, `${found} found of ${weight}`);
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NameTable } from "./name-set.ts";

test("equal sets are one object, in whatever order and however often a name is said", () => {
  const table = new NameTable();
  assert.equal(table.of(["a", "b"]), table.of(["b", "a", "b"]));
  assert.equal(table.of([]), table.empty);
  assert.notEqual(table.of(["a"]), table.of(["b"]));
});

test("no name can pass for several", () => {
  const table = new NameTable();
  const hostile = ["ROOTCA\0default", "ROOTCA7:default", "6:ROOTCA7:default", "ROOTCA,default"];
  const honest = table.of(["ROOTCA", "default"]);
  for (const name of hostile) assert.notEqual(table.of([name]), honest, JSON.stringify(name));
  const names = fc.uniqueArray(fc.string({ unit: fc.constantFrom("a", "\0", ":", "1", "2") }), { maxLength: 4 });
  fc.assert(
    fc.property(names, names, (a, b) => {
      const equal = a.length === b.length && a.every((name) => b.includes(name));
      assert.equal(table.of(a) === table.of(b), equal);
      assert.deepEqual([...table.of(a).names].sort(), [...a].sort());
    }),
  );
});

test("bytes that were seen before are the same set and are not read again, however many others came between", () => {
  const table = new NameTable();
  let read = 0;
  const ask = (name: string) =>
    table.ofWire(Buffer.from(name), () => {
      read++;
      return [name];
    });
  const names = Array.from({ length: 20 }, (_, index) => `cluster-${index}`);
  const sets = names.map(ask);
  assert.equal(read, names.length);
  for (const order of [names, names.toReversed(), names]) {
    for (const name of order) assert.equal(ask(name), sets[names.indexOf(name)]);
  }
  assert.equal(read, names.length);
  assert.deepEqual(
    sets.map((set) => [...set.names]),
    names.map((name) => [name]),
  );
});

test("bytes that the caller overwrites afterwards change nothing of what was known by them", () => {
  const table = new NameTable();
  const bytes = Buffer.from("cluster-a");
  const a = table.ofWire(bytes, () => ["a"]);
  bytes.write("cluster-b");
  const b = table.ofWire(bytes, () => ["b"]);
  assert.deepEqual([[...a.names], [...b.names]], [["a"], ["b"]]);
});

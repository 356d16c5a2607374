import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FairPlaces } from "./fair-places.ts";

function places(count: number) {
  const taken: string[] = [];
  return { all: new FairPlaces<string>({ places: count, onTaken: (item) => taken.push(item) }), taken };
}

test("whoever has the most gives up the newest, and those who have fewer keep theirs", () => {
  const { all, taken } = places(4);
  for (const item of ["a1", "a2", "a3"]) all.add("a", item);
  all.add("b", "b1");
  assert.deepEqual(taken, []);
  all.add("b", "b2");
  assert.deepEqual(taken, ["a3"]);
  all.add("a", "a4");
  assert.deepEqual(taken, ["a3", "a4"], "of two with as many it is who comes");
  all.remove("a", "a4");
  all.remove("a", "a1");
  all.add("c", "c1");
  assert.deepEqual(taken, ["a3", "a4"]);
  all.add("d", "d1");
  assert.deepEqual(taken, ["a3", "a4", "b2"]);
});

test("whatever comes and goes, no place is lost, none is given twice, and nobody loses one to who has more", () => {
  const step = fc.record({ owner: fc.constantFrom("a", "b", "c", "d"), leaves: fc.boolean(), which: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 6 }), (steps, count) => {
      const held = new Map<string, string[]>();
      const of = (owner: string) => held.get(owner) ?? [];
      let newcomer = "";
      const all = new FairPlaces<string>({
        places: count,
        onTaken(item) {
          const [owner = ""] = item.split(" ");
          const most = Math.max(...[...held.values()].map((items) => items.length));
          assert.equal(of(owner).length, most);
          assert.ok(owner === newcomer || of(newcomer).length < most);
          assert.equal(of(owner).at(-1), item);
          held.set(owner, of(owner).slice(0, -1));
        },
      });
      steps.forEach(({ owner, leaves, which }, index) => {
        if (leaves) {
          const item = of(owner)[which % Math.max(of(owner).length, 1)] ?? "nothing";
          held.set(
            owner,
            of(owner).filter((one) => one !== item),
          );
          all.remove(owner, item);
          return;
        }
        newcomer = owner;
        const before = [...held.values()].flat().length;
        held.set(owner, [...of(owner), `${owner} ${index}`]);
        all.add(owner, `${owner} ${index}`);
        assert.equal([...held.values()].flat().length, Math.min(before + 1, count));
      });
    }),
  );
});

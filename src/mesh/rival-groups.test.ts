import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isSame } from "./rival.ts";
import { RivalGroups } from "./rival-groups.ts";
import { exportedTo, visibleFrom } from "./visibility.ts";

const namespaces = ["shop", "edge", "data"];
const exportTo = fc.option(
  fc.oneof(
    fc.constantFrom(["*"], ["~"], ["."], []),
    fc.uniqueArray(fc.constantFrom(".", ...namespaces), { minLength: 1 }),
  ),
  { nil: undefined },
);
const claims = fc.array(fc.tuple(fc.constantFrom(...namespaces), exportTo), { maxLength: 12 });
const objectOf = ([namespace, exported]: readonly [string, readonly string[] | undefined], at: number) => ({
  apiVersion: "v1",
  kind: "Claim",
  metadata: { name: `c${at}`, namespace, labels: {}, annotations: {} },
  spec: exported === undefined ? {} : { exportTo: exported },
});
type Claim = ReturnType<typeof objectOf>;

test("whom some namespace sees beside an object, found as by comparing it with all", () => {
  fc.assert(
    fc.property(claims, fc.constantFrom(["*"], ["."], ["~"]), (drawn, byDefault) => {
      const objects = drawn.map(objectOf);
      const groups = new RivalGroups<Claim>(byDefault);
      for (const object of objects) groups.add("x", object);
      const seenFrom = (viewer: string, { metadata, spec }: Claim) =>
        visibleFrom(viewer, metadata.namespace, exportedTo(spec.exportTo, byDefault));
      for (const object of objects) {
        // A namespace that nobody names stands for all of those.
        const viewers = [...namespaces, "other"].filter((viewer) => seenFrom(viewer, object));
        const seen = objects.filter((other) => viewers.some((viewer) => seenFrom(viewer, other)));
        const expected = seen.filter((other) => !isSame(other, object)).slice(0, 3);
        // Whoever writes an object anew is no rival of what is stored.
        assert.deepEqual(groups.rivalsOf("x", { ...object }), expected);
      }
    }),
  );
});

test("nobody says what nobody was added for", () => {
  assert.deepEqual(new RivalGroups<Claim>([]).rivalsOf("x", objectOf(["shop", undefined], 0)), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { BuiltIndex } from "./built-index.ts";

test("one of ten thousand is found without looking at the others", () => {
  const index = new BuiltIndex();
  const [build, owner] = [() => {}, {}];
  let looks = 0;
  const built = (which: unknown) => ({
    get build() {
      looks++;
      return build;
    },
    input: [owner, which],
  });
  const all = Array.from({ length: 10_000 }, (_, which) => built(which % 2 ? which : { which }));
  for (const one of all) index.add(one);
  looks = 0;
  for (const one of all) assert.equal(index.find(build, one.input), one);
  assert.ok(looks <= 2 * all.length, `${looks} looks`);
  assert.equal(index.find(build, [owner, "1"]), undefined, "a text is no number");
  assert.equal(index.find(build, [owner]), undefined);
  assert.equal(index.find(owner, [owner, 1]), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { visibleFrom } from "./visibility.ts";

for (const [exportTo, own, other] of [
  [undefined, true, true],
  [[], true, true],
  [["*"], true, true],
  [["."], true, false],
  [["edge"], false, true],
  [[".", "edge"], true, true],
  [["~"], false, false],
  [["ops"], false, false],
] as const) {
  test(`exported to ${exportTo?.join(" and ") || "no one in particular"}: shop sees it: ${own}, edge: ${other}`, () => {
    assert.equal(visibleFrom("shop", "shop", exportTo), own);
    assert.equal(visibleFrom("edge", "shop", exportTo), other);
  });
}

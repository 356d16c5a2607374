import assert from "node:assert/strict";
import { test } from "node:test";
import { printable } from "./printable.ts";

const cases = [
  ["escape sequences", "a\u001b[2Jb\u009b1mc", "a [2Jb 1mc"],
  ["line ends and what overwrites a line", "a\r\nb\bc\u007fd", "a b c d"],
  ["a change of the direction of writing", "a\u202eb\u2066c", "a b c"],
  ["letters of any script", "größe 部品 ✓", "größe 部品 ✓"],
] as const;
for (const [what, text, expected] of cases) {
  test(`${what}: ${JSON.stringify(expected)} is printed`, () => assert.equal(printable(text), expected));
}

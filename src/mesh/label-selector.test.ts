import assert from "node:assert/strict";
import { test } from "node:test";
import { type LabelSelector, selects } from "./label-selector.ts";

const labels = { app: "web", tier: "front" };
const expression = (key: string, operator: "In" | "NotIn" | "Exists" | "DoesNotExist", ...values: string[]) => ({
  matchExpressions: [{ key, operator, values }],
});

const cases: readonly [selector: LabelSelector, expected: boolean][] = [
  [{}, false],
  [{ matchLabels: { app: "web" } }, true],
  [{ matchLabels: { app: "web", tier: "back" } }, false],
  [{ matchLabels: { constructor: "x" } }, false],
  [expression("app", "In", "web", "api"), true],
  [expression("app", "In", "api"), false],
  [expression("zone", "In", "a"), false],
  [expression("app", "NotIn", "web"), false],
  [expression("zone", "NotIn", "a"), true],
  [expression("app", "Exists"), true],
  [expression("zone", "Exists"), false],
  [expression("toString", "Exists"), false],
  [expression("zone", "DoesNotExist"), true],
  [expression("app", "DoesNotExist"), false],
  [{ matchLabels: { app: "web" }, ...expression("tier", "In", "back") }, false],
];
for (const [selector, expected] of cases) {
  test(`${JSON.stringify(selector)}: ${expected}`, () => assert.equal(selects(selector, labels), expected));
}

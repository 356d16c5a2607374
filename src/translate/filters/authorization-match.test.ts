import assert from "node:assert/strict";
import { test } from "node:test";
import { RE2JS } from "re2js";
import { escapeRegex } from "../../platform/escape-regex.ts";
import { namespaceMatcher, parseCidr, valueMatcher } from "./authorization-match.ts";

for (const [pattern, expected] of [
  ["a", { case: "exact", value: "a" }],
  ["a*", { case: "prefix", value: "a" }],
  ["*a", { case: "suffix", value: "a" }],
  ["**", { case: "prefix", value: "*" }],
  ["", { case: "exact", value: "" }],
] as const) {
  test(`pattern ${JSON.stringify(pattern)} asks for ${expected.case} ${JSON.stringify(expected.value)}`, () => {
    assert.deepEqual(valueMatcher(pattern).matchPattern, expected);
  });
}

test("a pattern of * alone asks that there is something", () => {
  const { matchPattern } = valueMatcher("*", { valuePrefix: "spiffe://" });
  assert.equal(matchPattern.case === "safeRegex" && matchPattern.value.regex, ".+");
});

test("what stands before every value goes before whole values and prefixes, never before suffixes", () => {
  const values = ["a", "a*", "*a"].map((pattern) => valueMatcher(pattern, { valuePrefix: "x://" }).matchPattern.value);
  assert.deepEqual(values, ["x://a", "x://a", "a"]);
});

const SPECIAL = "\\^$.|?*+()[]{}";

test("escaped text stands for itself alone", () => {
  for (const text of [SPECIAL, "a.b", "a", "\\d", "[a-z]", "é/ -"]) {
    assert.ok(RE2JS.matches(escapeRegex(text), text), text);
  }
  assert.ok(!RE2JS.matches(escapeRegex("a.b"), "axb"));
});

for (const [pattern, id, matches] of [
  ["shop", "spiffe://cluster.local/ns/shop/sa/a", true],
  ["shop", "spiffe://other.example/ns/shop/sa/a", true],
  ["shop", "spiffe://cluster.local/ns/shop2/sa/a", false],
  ["shop", "spiffe://cluster.local/ns/evil/sa/ns/shop/sa/a", false],
  ["shop", "spiffe://cluster.local/ns/shop/sa/", false],
  ["shop", "spiffe://cluster.local/ns/shop/sa/a/b", false],
  ["shop*", "spiffe://cluster.local/ns/shop-2/sa/a", true],
  ["shop*", "spiffe://cluster.local/ns/shop/x/sa/a", false],
  ["*", "spiffe://cluster.local/ns/anything/sa/a", true],
  ["s.op", "spiffe://cluster.local/ns/shop/sa/a", false],
] as const) {
  test(`namespace ${pattern} ${matches ? "has" : "does not have"} ${id}`, () => {
    const { matchPattern } = namespaceMatcher(pattern);
    assert.ok(matchPattern.case === "safeRegex");
    assert.equal(RE2JS.matches(matchPattern.value.regex, id), matches);
  });
}

for (const [text, expected] of [
  ["10.0.0.1", ["10.0.0.1", 32]],
  ["10.0.0.0/8", ["10.0.0.0", 8]],
  ["0.0.0.0/0", ["0.0.0.0", 0]],
  ["fd00::/8", ["fd00::", 8]],
  ["::1", ["::1", 128]],
  ["10.0.0.1/33", null],
  ["::1/129", null],
  ["10.0.0.1/", null],
  ["10.0.0.1/ 8", null],
  ["10.0.0.1/0x8", null],
  ["10.0.0.1/-1", null],
  ["10.0.0.1/8/8", null],
  ["10", null],
  ["0x7f.1", null],
  ["", null],
] as const) {
  test(`${JSON.stringify(text)} is ${expected === null ? "no block" : `a block of ${expected[1]} bits`}`, () => {
    const range = parseCidr(text);
    assert.deepEqual(range && [range.addressPrefix, range.prefixLen], expected);
  });
}

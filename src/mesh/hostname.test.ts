import assert from "node:assert/strict";
import { test } from "node:test";
import { compareSpecificity, hostMatches, resolveHost } from "./hostname.ts";

for (const [host, resolved] of [
  ["web", "web.shop.svc.cluster.local"],
  ["Web", "web.shop.svc.cluster.local"],
  ["web.edge", "web.edge"],
  ["API.example.com", "api.example.com"],
  ["*", "*"],
  ["*.example.com", "*.example.com"],
] as const) {
  test(`${host} in namespace shop means ${resolved}`, () => {
    assert.equal(resolveHost(host, "shop", "cluster.local"), resolved);
  });
}

for (const [pattern, hostname, matches] of [
  ["*", "a", true],
  ["*.a", "b.a", true],
  ["*.a", "c.b.a", true],
  ["*.a", "a", false],
  ["*.a", "ba", false],
  ["a", "a", true],
  ["a", "b.a", false],
] as const) {
  test(`${pattern} ${matches ? "covers" : "does not cover"} ${hostname}`, () => {
    assert.equal(hostMatches(pattern, hostname), matches);
  });
}

test("whole names come before wildcards, longer ones before shorter", () => {
  const patterns = ["*", "*.com", "*.example.com", "b.com", "a.example.com"];
  assert.deepEqual(patterns.sort(compareSpecificity), ["a.example.com", "b.com", "*.example.com", "*.com", "*"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateAutoAddresses } from "./auto-addresses.ts";

const keys = Array.from({ length: 2000 }, (_, index) => `shop/host-${index}.example.com`);

test("every key has an address of its own in both families", () => {
  const allocated = [...allocateAutoAddresses(keys).values()];
  assert.equal(new Set(allocated).size, keys.length);
  for (const pair of allocated) assert.match(pair, /^240\.240\.\d{1,3}\.\d{1,3},2001:2::f0f0:[0-9a-f]+$/);
});

test("what comes later, or goes, leaves almost every other where it was", () => {
  const all = allocateAutoAddresses(keys);
  const fewer = allocateAutoAddresses(keys.slice(1));
  const moved = keys.slice(1).filter((key) => all.get(key) !== fewer.get(key));
  assert.ok(moved.length < 5, `${moved.length} moved`);
  const more = allocateAutoAddresses([...keys, "shop/late.example.com"]);
  for (const key of keys) assert.equal(more.get(key), all.get(key));
});

test("beyond the range there is none", () => {
  const many = Array.from({ length: 65_000 }, (_, index) => `shop/${index}`);
  const allocated = allocateAutoAddresses(many);
  assert.equal(allocated.size, 255 * 254);
  assert.equal(new Set(allocated.values()).size, allocated.size);
});

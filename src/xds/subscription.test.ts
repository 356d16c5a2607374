import assert from "node:assert/strict";
import { test } from "node:test";
import { textSet } from "../../test/support/xds-messages.ts";
import { NameTable } from "./name-set.ts";
import { TYPE_URL, type TypeUrl } from "./resource-set.ts";
import { Subscription } from "./subscription.ts";

const { cluster, listener, endpoint } = TYPE_URL;

function subscription(typeUrl: TypeUrl) {
  const table = new NameTable();
  const set = textSet(typeUrl, { a: "1", b: "1", c: "1" });
  const state = new Subscription(typeUrl, table);
  return {
    state,
    replace: (...names: string[]) => state.replace(table.of(names)),
    add: (...names: string[]) => state.add(table.of(names)),
    remove: (...names: string[]) => [...state.remove(table.of(names)).names],
    selected: () => [...state.select(set).byName.keys()].join(""),
  };
}

const sotwCases: readonly { what: string; typeUrl: TypeUrl; requests: string[][]; selected: string }[] = [
  { what: "naming no cluster asks for all", typeUrl: cluster, requests: [[]], selected: "abc" },
  { what: "naming no listener asks for all", typeUrl: listener, requests: [[], []], selected: "abc" },
  { what: "naming no endpoint asks for none", typeUrl: endpoint, requests: [[]], selected: "" },
  { what: "names ask for these", typeUrl: cluster, requests: [["a", "x"]], selected: "a" },
  { what: "naming some ends asking for all in the older form", typeUrl: cluster, requests: [[], ["b"]], selected: "b" },
  { what: "naming none after some asks for none", typeUrl: cluster, requests: [["b"], []], selected: "" },
  { what: "* asks for all of any type", typeUrl: endpoint, requests: [["*"]], selected: "abc" },
  { what: "* beside names asks for all", typeUrl: cluster, requests: [["*", "a"]], selected: "abc" },
  { what: "leaving * out ends it", typeUrl: cluster, requests: [["*", "a"], ["a"]], selected: "a" },
  { what: "leaving * out ends it for good", typeUrl: cluster, requests: [["*"], []], selected: "" },
];
for (const { what, typeUrl, requests, selected } of sotwCases) {
  test(`state of the world: ${what}`, () => {
    const it = subscription(typeUrl);
    for (const names of requests) it.replace(...names);
    assert.equal(it.selected(), selected);
  });
}

test("state of the world: a request answers which names are new", () => {
  const it = subscription(endpoint);
  it.replace("a", "b");
  assert.deepEqual([...it.replace("b", "c").names.names], ["c"]);
  assert.deepEqual([...it.replace("b", "c").names.names], []);
});

test("delta: names add up, and are taken away one by one", () => {
  const it = subscription(endpoint);
  it.add("a");
  it.add("b", "c");
  it.remove("a", "unknown");
  assert.equal(it.selected(), "bc");
});

test("delta: unsubscribing from * leaves the names that were asked for one by one", () => {
  const it = subscription(cluster);
  it.add("*", "b");
  assert.equal(it.selected(), "abc");
  it.remove("*");
  assert.equal(it.selected(), "b");
});

test("delta: the older form of * is for clusters and listeners, and ends with unsubscribing from *", () => {
  assert.equal(subscription(endpoint).state.startLegacy(), false);
  const it = subscription(listener);
  assert.equal(it.state.startLegacy(), true);
  it.add("b");
  assert.equal(it.selected(), "abc");
  it.remove("*");
  assert.equal(it.selected(), "b");
});

test("delta: a name given up under * was forgotten by the proxy but is still wanted", () => {
  const it = subscription(cluster);
  it.add("*", "a");
  assert.deepEqual(it.remove("a", "b"), ["a"]);
  assert.equal(it.selected(), "abc");
});

test("two proxies that ask for the same names in another order select the same object", () => {
  const table = new NameTable();
  const set = textSet(endpoint, { a: "1", b: "1", c: "1" });
  const [one, two] = [new Subscription(endpoint, table), new Subscription(endpoint, table)];
  one.replace(table.of(["a", "b"]));
  two.add(table.of(["b"]));
  two.add(table.of(["a"]));
  assert.equal(one.select(set), two.select(set));
  one.replace(table.of(["c", "b", "a"]));
  assert.equal(one.select(set), set);
});

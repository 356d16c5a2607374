import assert from "node:assert/strict";
import { test } from "node:test";
import { Refusals } from "./refusals.ts";
import { type EncodedResource, TYPE_URL } from "./resource-set.ts";

const resource = (name: string, version = "1"): EncodedResource => ({ name, version, bytes: Buffer.from("key") });
const byName = (...list: EncodedResource[]) => new Map(list.map((one) => [one.name, one]));
const [web, shop] = [resource("outbound|80||web.test"), resource("outbound|80||web.test.shop")];

test("of a response's resources those are refused that Envoy names", () => {
  const refusals = new Refusals(TYPE_URL.cluster);
  refusals.refused(
    [web, shop],
    byName(),
    "Error adding/updating cluster(s) outbound|80||web.test.shop: Invalid path: /x",
  );
  assert.deepEqual(
    refusals.of(byName(web, shop)).map(({ refused, kept }) => [refused.name, kept]),
    [[shop.name, null]],
  );
});

test("where it names none, all are that were new to it", () => {
  const refusals = new Refusals(TYPE_URL.route);
  refusals.refused([resource("80"), resource("90", "2")], byName(resource("80"), resource("90")), "no good");
  assert.deepEqual(
    refusals.of(byName(resource("80"), resource("90", "2"))).map(({ refused, kept }) => [refused.name, kept?.version]),
    [["90", "1"]],
  );
});

test("a refusal ends when the resource is accepted, when another version is sent, and when it is gone", () => {
  const refusals = new Refusals(TYPE_URL.cluster);
  refusals.refused([web], byName(), "no good");
  refusals.accepted([shop]);
  assert.equal(refusals.of(byName(web)).length, 1, "others say nothing of it");
  assert.equal(refusals.of(byName(resource(web.name, "2"))).length, 0);
  assert.equal(refusals.of(byName()).length, 0);
  refusals.accepted([web]);
  assert.equal(refusals.of(byName(web)).length, 0);
});

test("what is kept is what was accepted last, not what was refused before", () => {
  const refusals = new Refusals(TYPE_URL.cluster);
  const [first, second, third] = ["1", "2", "3"].map((version) => resource(web.name, version));
  assert.ok(first && second && third);
  refusals.refused([second], byName(first), "no good");
  refusals.refused([third], byName(second), "no good either");
  assert.deepEqual(
    refusals.of(byName(third)).map(({ kept, message }) => [kept?.version, message]),
    [["1", "no good either"]],
  );
});

test("of a refused secret no bytes are kept", () => {
  const refusals = new Refusals(TYPE_URL.secret);
  refusals.refused([resource("default", "2")], byName(resource("default")), "no good");
  const [refusal] = refusals.of(byName(resource("default", "2")));
  assert.deepEqual([refusal?.refused.bytes.length, refusal?.kept?.bytes.length], [0, 0]);
});

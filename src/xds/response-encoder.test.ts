import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { seenDelta, seenSotw, textResource, textSet } from "../../test/support/xds-messages.ts";
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { TYPE_URL } from "./resource-set.ts";
import { ResponseEncoder } from "./response-encoder.ts";
import { updateBetween, wholeOf } from "./update.ts";

const typeUrl = TYPE_URL.cluster;
const long = "x".repeat(70_000);

test("a response is what the protobuf library would have encoded", () => {
  const resources = [textResource("a", ""), textResource("ünï", "1"), textResource("long", long)];
  const update = { typeUrl, version: "v", resources, removed: ["gone", "görn"] };
  const encoder = new ResponseEncoder({ keptBytes: 0 });

  const sotw = encoder.once("sotw", update);
  const anys = resources.map(({ bytes }) => ({ typeUrl, value: bytes }));
  const plain = create(DiscoveryResponseSchema, { versionInfo: "v", resources: anys, typeUrl, nonce: sotw.nonce });
  assert.deepEqual(sotw.bytes, Buffer.from(toBinary(DiscoveryResponseSchema, plain)));

  const delta = encoder.once("delta", update);
  assert.deepEqual(seenDelta(delta.bytes), {
    typeUrl,
    version: "v",
    nonce: delta.nonce,
    resources: ["a=", "ünï=1", `long=${long}`],
    removed: ["gone", "görn"],
  });
  const named = resources.map(({ name, version, bytes }) => ({ name, version, resource: { typeUrl, value: bytes } }));
  const message = {
    systemVersionInfo: "v",
    resources: named,
    typeUrl,
    nonce: delta.nonce,
    removedResources: update.removed,
  };
  const size = toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, message)).length;
  assert.equal(delta.bytes.length, size);
});

test("streams with the same sets share one response, per protocol", () => {
  const encoder = new ResponseEncoder({ keptBytes: 1e6 });
  const [from, to] = [textSet(typeUrl, { a: "1" }), textSet(typeUrl, { a: "2", b: "1" })];
  const shared = encoder.shared("delta", updateBetween(from, to));
  assert.equal(encoder.shared("delta", updateBetween(from, to)), shared);
  assert.notEqual(encoder.shared("sotw", updateBetween(from, to)), shared);
  assert.notEqual(encoder.shared("delta", wholeOf(to)), shared);
});

test("beyond what may be kept, the response used least recently is encoded anew", () => {
  const encoder = new ResponseEncoder({ keptBytes: 150_000 });
  const [one, two, three] = ["1", "2", "3"].map((revision) => wholeOf(textSet(typeUrl, { a: `${long}${revision}` })));
  assert.ok(one && two && three);
  const first = encoder.shared("sotw", one);
  const second = encoder.shared("sotw", two);
  assert.equal(encoder.shared("sotw", one), first);
  encoder.shared("sotw", three);
  assert.equal(encoder.shared("sotw", one), first);
  const again = encoder.shared("sotw", two);
  assert.notEqual(again, second);
  assert.deepEqual(seenSotw(again.bytes).resources, seenSotw(second.bytes).resources);
});

test("a renewed response differs in its nonce, and in what it removes", () => {
  const encoder = new ResponseEncoder({ keptBytes: 1e6 });
  const response = encoder.shared("delta", wholeOf(textSet(typeUrl, { a: "1" })));
  const renewed = encoder.renewed(response, ["gone"]);
  assert.ok(renewed.serial > response.serial);
  const expected = { ...seenDelta(response.bytes), nonce: renewed.nonce, removed: ["gone"] };
  assert.deepEqual(seenDelta(renewed.bytes), expected);
  assert.notEqual(renewed.nonce, response.nonce);
});

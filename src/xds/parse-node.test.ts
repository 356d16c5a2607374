import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import { create, type JsonObject, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { TrysailError } from "../platform/errors.ts";
import { parseNodeBytes } from "./parse-node.ts";

function parse(id: string, metadata?: JsonObject) {
  return parseNodeBytes(toBinary(NodeSchema, create(NodeSchema, { id, ...(metadata && { metadata }) })));
}

test("a sidecar's node is read", () => {
  const metadata = { NAMESPACE: "bookstore", LABELS: { app: "reviews", count: 3 }, CLUSTER_ID: "Kubernetes" };
  const locality = { region: "r", zone: "z", subZone: "s" };
  const id = "sidecar~10.1.2.3~reviews-v1-abc.bookstore~bookstore.svc.cluster.local";
  assert.deepEqual(parseNodeBytes(toBinary(NodeSchema, create(NodeSchema, { id, metadata, locality }))), {
    id,
    type: "sidecar",
    ipAddress: "10.1.2.3",
    name: "reviews-v1-abc",
    namespace: "bookstore",
    metadata,
    labels: { app: "reviews" },
    locality,
  });
});

test("an IPv6 address, dots in a pod's name and no metadata are all right", () => {
  const { type, ipAddress, name, namespace, labels } = parse("router~fd00::1~gw.v1.istio-system~x");
  assert.deepEqual(
    { type, ipAddress, name, namespace, labels },
    {
      type: "router",
      ipAddress: "fd00::1",
      name: "gw.v1",
      namespace: "istio-system",
      labels: {},
    },
  );
});

const bad: readonly { what: string; id: string; metadata?: JsonObject }[] = [
  { what: "no id", id: "" },
  { what: "too few parts", id: "sidecar~10.0.0.1~a.b" },
  { what: "too many parts", id: "sidecar~10.0.0.1~a.b~c~d" },
  { what: "an unknown type", id: "agent~10.0.0.1~a.b~c" },
  { what: "a property of every object for a type", id: "constructor~10.0.0.1~a.b~c" },
  { what: "no address", id: "sidecar~nowhere~a.b~c" },
  { what: "no namespace", id: "sidecar~10.0.0.1~a~c" },
  { what: "no name", id: "sidecar~10.0.0.1~.b~c" },
  { what: "a namespace that is no DNS label", id: "sidecar~10.0.0.1~a.b_c~d" },
  { what: "a path for a name", id: "sidecar~10.0.0.1~../a.b~c" },
  { what: "an endless id", id: `sidecar~10.0.0.1~a.b~${"c".repeat(5000)}` },
  { what: "metadata of another namespace", id: "sidecar~10.0.0.1~a.b~c", metadata: { NAMESPACE: "other" } },
];
for (const { what, id, metadata } of bad) {
  test(`${what} is an invalid argument`, () => {
    assert.throws(
      () => parse(id, metadata),
      (error) => error instanceof TrysailError && error.code === "invalid-argument" && error.message.length < 200,
    );
  });
}

test("bytes that are no node are an invalid argument", () => {
  assert.throws(
    () => parseNodeBytes(Buffer.from("garbage")),
    (error) => error instanceof TrysailError && error.code === "invalid-argument",
  );
});

test("metadata nested without end is an invalid argument, not a crash", () => {
  // Struct { fields { key: "", value: Value { struct_value: Struct … } } }, 2,000 deep, inside the node's metadata.
  let inner: Buffer = Buffer.alloc(0);
  for (let depth = 0; depth < 2000; depth++) inner = wrap(0x0a, wrap(0x12, wrap(0x2a, inner)));
  assert.throws(
    () => parseNodeBytes(wrap(0x1a, inner)),
    (error) => error instanceof TrysailError && error.code === "invalid-argument",
  );
});

test("whatever a node says of itself, it is read with names that Kubernetes has, or is an invalid argument", () => {
  const whole = "sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local";
  const text = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20, unit: "binary" }));
  const part = fc.constantFrom(
    "sidecar",
    "router",
    "10.0.0.1",
    "::1",
    "cart-1.shop",
    "..",
    "a..b",
    "",
    "x~y",
    "%2e",
    "é",
  );
  const id = fc.oneof(
    fc.constant(whole),
    text,
    fc.array(fc.oneof(part, text), { maxLength: 6 }).map((parts) => parts.join("~")),
  );
  const metadata = fc.dictionary(fc.oneof(fc.constantFrom("NAMESPACE", "LABELS", "__proto__"), text), fc.jsonValue());
  const changes = fc.array(fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 3 }), fc.nat(2)), { maxLength: 3 });
  fc.assert(
    fc.property(id, metadata, changes, (nodeId, said, changed) => {
      let bytes: Buffer = Buffer.from(toBinary(NodeSchema, create(NodeSchema, { id: nodeId, metadata: json(said) })));
      for (const [where, put, left] of changed) {
        const at = where % (bytes.length + 1);
        bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + left)]);
      }
      try {
        const node = parseNodeBytes(bytes);
        assert.match(node.name, /^[a-z0-9][-a-z0-9.]*$/);
        assert.match(node.namespace, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
        assert.notEqual(isIP(node.ipAddress), 0);
        for (const value of Object.values(node.labels)) assert.equal(typeof value, "string");
      } catch (error) {
        assert.ok(error instanceof TrysailError && error.code === "invalid-argument", String(error));
      }
    }),
    { numRuns: 3000, interruptAfterTimeLimit: 10_000 },
  );
});

/** As JSON would bring it: without what a Struct cannot hold. */
function json(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value));
}

function wrap(tag: number, content: Buffer): Buffer {
  const head = [tag];
  for (let length = content.length; ; length >>>= 7) {
    if (length < 0x80) {
      head.push(length);
      break;
    }
    head.push((length & 0x7f) | 0x80);
  }
  return Buffer.concat([Buffer.from(head), content]);
}

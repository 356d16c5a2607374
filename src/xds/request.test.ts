import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { deltaRequestBytes, sotwRequestBytes } from "../../test/support/xds-messages.ts";
import { TrysailError } from "../platform/errors.ts";
import { NameTable } from "./name-set.ts";
import { parseNodeBytes } from "./parse-node.ts";
import { parseDeltaRequest, parseSotwRequest } from "./request.ts";

const LIMITS = { maxNames: 3, maxNodeBytes: 64 };

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof TrysailError, String(error));
    return error.code;
  }
  return "no error";
}

test("a state-of-the-world request is read whole", () => {
  const bytes = sotwRequestBytes({
    typeUrl: "t",
    versionInfo: "7",
    responseNonce: "n",
    resourceNames: ["b", "a"],
    node: { id: "me" },
    errorDetail: { code: 3, message: "no such filter" },
  });
  const { names, node, ...rest } = parseSotwRequest(bytes, new NameTable(), LIMITS);
  assert.deepEqual(rest, { typeUrl: "t", nonce: "n", error: "no such filter" });
  assert.deepEqual([...names.names], ["b", "a"]);
  assert.deepEqual(node, Buffer.from([10, 2, 109, 101]));
});

test("a delta request is read whole", () => {
  const bytes = deltaRequestBytes({
    typeUrl: "t",
    responseNonce: "n",
    resourceNamesSubscribe: ["a"],
    resourceNamesUnsubscribe: ["b", "c"],
    initialResourceVersions: { a: "1", z: "" },
  });
  const { subscribe, unsubscribe, initialVersions, ...rest } = parseDeltaRequest(bytes, new NameTable(), LIMITS);
  assert.deepEqual(rest, { typeUrl: "t", nonce: "n", error: null, node: null });
  assert.deepEqual([[...subscribe.names], [...unsubscribe.names]], [["a"], ["b", "c"]]);
  assert.deepEqual(
    initialVersions,
    new Map([
      ["a", "1"],
      ["z", ""],
    ]),
  );
});

test("requests with the same names share one set, in whatever order they hold them", () => {
  const table = new NameTable();
  const parse = (...resourceNames: string[]) =>
    parseSotwRequest(sotwRequestBytes({ resourceNames }), table, LIMITS).names;
  assert.equal(parse("a", "b"), parse("a", "b"));
  assert.equal(parse("a", "b"), parse("b", "a"));
  assert.notEqual(parse("a", "b"), parse("a"));
});

test("names that are not in a row count all the same", () => {
  const [one, two] = [
    sotwRequestBytes({ resourceNames: ["a"], typeUrl: "t" }),
    sotwRequestBytes({ resourceNames: ["b"] }),
  ];
  const { names } = parseSotwRequest(Buffer.concat([one, two]), new NameTable(), LIMITS);
  assert.deepEqual([...names.names], ["a", "b"]);
});

test("fields that are not known are passed over", () => {
  const bytes = Buffer.concat([Buffer.from([0x78, 1]), sotwRequestBytes({ typeUrl: "t" })]);
  assert.equal(parseSotwRequest(bytes, new NameTable(), LIMITS).typeUrl, "t");
});

test("a rejection without a text is a rejection", () => {
  const bytes = sotwRequestBytes({ errorDetail: {} });
  assert.equal(parseSotwRequest(bytes, new NameTable(), LIMITS).error, "rejected without a message");
});

const garbage = [
  { what: "random bytes", bytes: Buffer.from("not a message at all") },
  { what: "a length beyond the end", bytes: Buffer.from([0x1a, 0x7f, 0x61]) },
  { what: "a name's length that overflows", bytes: Buffer.from([0x1a, 0xff, 0xff, 0xff, 0xff, 0x7f]) },
  { what: "a cut tag", bytes: Buffer.from([0x80]) },
];
for (const { what, bytes } of garbage) {
  test(`${what} is an invalid argument`, () => {
    assert.equal(
      codeOf(() => parseSotwRequest(bytes, new NameTable(), LIMITS)),
      "invalid-argument",
    );
    assert.equal(
      codeOf(() => parseDeltaRequest(bytes, new NameTable(), LIMITS)),
      "invalid-argument",
    );
  });
}

test("too many names, versions or too large a node exhaust the limits", () => {
  const table = new NameTable();
  const names = ["a", "b", "c", "d"];
  const versions = Object.fromEntries(names.map((name) => [name, "1"]));
  const node = { id: "x".repeat(100) };
  assert.equal(
    codeOf(() => parseSotwRequest(sotwRequestBytes({ resourceNames: names }), table, LIMITS)),
    "resource-exhausted",
  );
  assert.equal(
    codeOf(() => parseSotwRequest(sotwRequestBytes({ node }), table, LIMITS)),
    "resource-exhausted",
  );
  for (const request of [
    { resourceNamesSubscribe: names },
    { resourceNamesUnsubscribe: names },
    { initialResourceVersions: versions },
    { node },
  ]) {
    assert.equal(
      codeOf(() => parseDeltaRequest(deltaRequestBytes(request), table, LIMITS)),
      "resource-exhausted",
    );
  }
  assert.equal(
    codeOf(() => parseSotwRequest(sotwRequestBytes({ resourceNames: names.slice(1) }), table, LIMITS)),
    "no error",
  );
});

test("whatever octets come as a request for secrets, they are read or refused", () => {
  const typeUrl = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  const node = { id: "sidecar~10.0.0.1~cart-1.shop~shop.svc.cluster.local", metadata: { NAMESPACE: "shop" } };
  const limits = { maxNames: 3, maxNodeBytes: 1024 };
  const wholes = [
    sotwRequestBytes({ typeUrl, node, resourceNames: ["default", "ROOTCA"], errorDetail: { message: "no" } }),
    deltaRequestBytes({
      ...{ typeUrl, node, resourceNamesSubscribe: ["default", "ROOTCA"], responseNonce: "1" },
      initialResourceVersions: { default: "1" },
    }),
  ];
  const changed = fc
    .tuple(fc.constantFrom(...wholes), fc.nat(), fc.uint8Array({ maxLength: 6 }), fc.nat(3))
    .map(([whole, where, bytes, left]) => {
      const at = where % whole.length;
      return Buffer.concat([whole.subarray(0, at), bytes, whole.subarray(at + left)]);
    });
  const codes = new Set(["no error", "invalid-argument", "resource-exhausted"]);
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), changed, changed), (bytes) => {
      for (const parse of [parseSotwRequest, parseDeltaRequest]) {
        const code = codeOf(() => {
          const { node } = parse(bytes, new NameTable(), limits);
          if (node !== null) parseNodeBytes(node);
        });
        assert.ok(codes.has(code), code);
      }
    }),
    { numRuns: 3000, interruptAfterTimeLimit: 10_000 },
  );
});

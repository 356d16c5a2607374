import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { Refusal } from "../ca/refusal.ts";
import { parseCertificateRequest } from "./certificate-messages.ts";

interface Content {
  readonly csr?: string;
  readonly validitySeconds?: bigint;
  readonly metadata?: JsonObject;
}

/** The message of proto/istio/v1/auth/ca.proto. */
function encode({ csr = "", validitySeconds = 0n, metadata }: Content): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(csr);
  writer.tag(3, WireType.Varint).int64(validitySeconds);
  if (metadata !== undefined) {
    writer.tag(4, WireType.LengthDelimited).bytes(toBinary(StructSchema, fromJson(StructSchema, metadata)));
  }
  return writer.finish();
}

const refusedFor = (reason: string) => (error: unknown) => error instanceof Refusal && error.reason === reason;
const field = (number: number, type: number, ...bytes: number[]) => Uint8Array.of((number << 3) | type, ...bytes);

test("a request is read as Istio's clients write it, and fields that are not known are passed over", () => {
  const metadata = { ImpersonatedIdentity: "spiffe://a", CertSigner: "mine", ClusterID: "Kubernetes", More: [1, {}] };
  const known = encode({ csr: "pem", validitySeconds: 600n, metadata });
  for (const bytes of [known, Buffer.concat([field(9, WireType.Varint, 1), known])]) {
    assert.deepEqual(parseCertificateRequest(bytes), {
      csr: "pem",
      validitySeconds: 600,
      impersonatedIdentity: "spiffe://a",
      certSigner: "mine",
    });
  }
});

test("nothing at all, and empty texts, ask for nothing", () => {
  const nothing = { csr: "", validitySeconds: 0, impersonatedIdentity: undefined, certSigner: undefined };
  const empty = encode({ metadata: { ImpersonatedIdentity: "", CertSigner: "" } });
  for (const bytes of [new Uint8Array(), encode({}), empty]) assert.deepEqual(parseCertificateRequest(bytes), nothing);
});

test("a life of any length is read as a number", () => {
  for (const validitySeconds of [-1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    assert.equal(parseCertificateRequest(encode({ validitySeconds })).validitySeconds, Number(validitySeconds));
  }
});

test("metadata called like what every object has names nothing", () => {
  const metadata: JsonObject = JSON.parse('{"__proto__": {"ImpersonatedIdentity": "spiffe://a"}, "constructor": "b"}');
  assert.equal(parseCertificateRequest(encode({ metadata })).impersonatedIdentity, undefined);
});

/** `{ a: { a: … } }` as a Struct, which the library writes no deeper than it reads. */
function deepMetadata(levels: number): Uint8Array {
  const key = new BinaryWriter().tag(1, WireType.LengthDelimited).string("a").finish();
  const within = (number: number, bytes: Uint8Array) =>
    new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
  let struct = new Uint8Array();
  for (let level = 0; level < levels; level++) {
    struct = new Uint8Array(within(1, Buffer.concat([key, within(2, within(5, struct))])));
  }
  return within(4, struct);
}

test("metadata may nest, as long as it is a few levels", () => {
  assert.equal(parseCertificateRequest(deepMetadata(20)).certSigner, undefined);
});

const hostile: [title: string, bytes: Uint8Array, reason: string][] = [
  ["a request of 25 KB", new Uint8Array(25 * 1024), "csr-too-large"],
  ["a length behind the end", field(1, WireType.LengthDelimited, 0xff), "bad-request"],
  ["a length of 4 GB", field(1, WireType.LengthDelimited, 0xff, 0xff, 0xff, 0xff, 0x0f), "bad-request"],
  ["a number without an end", field(3, WireType.Varint, ...Array(12).fill(0xff)), "bad-request"],
  ["field 0", Uint8Array.of(0, 0), "bad-request"],
  ["thousands of groups, one in the other", new Uint8Array(20_000).fill((2 << 3) | WireType.StartGroup), "bad-request"],
  ["the end of a group that never began", field(2, WireType.EndGroup), "bad-request"],
  ["a wire type that there is not", field(2, 7), "bad-request"],
  ["metadata of 5 KB", encode({ metadata: { a: "a".repeat(5000) } }), "bad-request"],
  ["metadata nested 150 deep", deepMetadata(150), "bad-request"],
  ["metadata that is no message", field(4, WireType.LengthDelimited, 1, 0xff), "bad-request"],
  ["an identity that is a number", encode({ metadata: { ImpersonatedIdentity: 1 } }), "bad-request"],
  ["an identity that is null", encode({ metadata: { ImpersonatedIdentity: null } }), "bad-request"],
  ["a signer that is a list", encode({ metadata: { CertSigner: ["a"] } }), "bad-request"],
];
for (const [title, bytes, reason] of hostile) {
  test(`${title} is refused: ${reason}`, () => {
    assert.throws(() => parseCertificateRequest(bytes), refusedFor(reason));
  });
}

test("whatever octets come, they are read or refused", () => {
  const whole = encode({ csr: "pem", validitySeconds: 600n, metadata: { CertSigner: "a", b: [1, { c: true }] } });
  const changed = fc.tuple(fc.nat(whole.length - 1), fc.uint8Array({ maxLength: 6 })).map(([at, bytes]) => {
    return Buffer.concat([whole.subarray(0, at), bytes, whole.subarray(at + 1)]);
  });
  const octets = fc.oneof(fc.uint8Array({ maxLength: 200 }), changed, changed);
  fc.assert(
    fc.property(octets, (bytes) => {
      try {
        const { csr, validitySeconds, impersonatedIdentity, certSigner } = parseCertificateRequest(bytes);
        assert.equal(typeof csr, "string");
        assert.ok(Number.isFinite(validitySeconds));
        for (const text of [impersonatedIdentity, certSigner]) assert.ok(text === undefined || text.length > 0);
      } catch (error) {
        assert.ok(error instanceof Refusal, String(error));
      }
    }),
    { numRuns: 3000, interruptAfterTimeLimit: 10_000 },
  );
});

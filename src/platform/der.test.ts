import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type DerElement, der, integer, objectIdentifier, readDer, sequence, TAG, time, timeOf } from "./der.ts";

const integers = [
  { bytes: "", hex: "020100" },
  { bytes: "00", hex: "020100" },
  { bytes: "7f", hex: "02017f" },
  { bytes: "80", hex: "02020080" },
  { bytes: "0001", hex: "020101" },
  { bytes: "000080", hex: "02020080" },
];
for (const { bytes, hex } of integers) {
  test(`the integer 0x${bytes} is ${hex}: positive, and as short as can be`, () => {
    assert.equal(integer(Buffer.from(bytes, "hex")).toString("hex"), hex);
  });
}

test("object identifiers have large parts in base 128", () => {
  assert.equal(objectIdentifier("1.2.840.10045.4.3.2").toString("hex"), "06082a8648ce3d040302");
  assert.equal(objectIdentifier("2.5.29.17").toString("hex"), "0603551d11");
});

const times = [
  { iso: "2026-08-01T02:03:04.999Z", tag: TAG.utcTime, text: "260801020304Z" },
  { iso: "2049-12-31T23:59:59.000Z", tag: TAG.utcTime, text: "491231235959Z" },
  { iso: "2050-01-01T00:00:00.000Z", tag: TAG.generalizedTime, text: "20500101000000Z" },
];
for (const { iso, tag, text } of times) {
  test(`${iso} is written as ${text}`, () => {
    const [element] = readDer(time(Date.parse(iso)));
    assert.equal(element?.tag, tag);
    assert.equal(element.content.toString(), text);
  });
}

test("a time that no certificate can hold is a RangeError", () => {
  for (const epochMs of [Number.NaN, Number.POSITIVE_INFINITY, Date.parse("+010000-01-01T00:00:00Z")]) {
    assert.throws(() => time(epochMs), RangeError);
  }
});

test("what is written is read back, whatever its length", () => {
  const contents = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.nat(70_000).map((length) => new Uint8Array(length)),
  );
  fc.assert(
    fc.property(fc.array(contents, { maxLength: 4 }), (all) => {
      const elements = readDer(Buffer.concat(all.map((content) => der(TAG.octetString, content))));
      assert.deepEqual(
        elements.map((element) => element.content),
        all.map((content) => Buffer.from(content)),
      );
    }),
    { numRuns: 100 },
  );
});

test("bytes that are no DER are a RangeError, never a hang or a read past the end", () => {
  for (const hex of ["30", "3005aabb", "3080", "30850000000001", "3084ffffffff"]) {
    assert.throws(() => readDer(Buffer.from(hex, "hex")), RangeError, hex);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        readDer(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError);
      }
    }),
    { numRuns: 300 },
  );
});

test("what is inside an element is read as if nothing stood behind it", () => {
  const pieces = fc.constantFrom<number[]>(
    [0x30],
    [0x80],
    [0x81],
    [0x82, 0x01],
    [0x02, 0x01, 0x05],
    [0x04, 0x00],
    [0x00],
  );
  const bytes = fc.array(pieces, { maxLength: 6 }).map((all) => Buffer.from(all.flat()));
  fc.assert(
    fc.property(bytes, bytes, (content, behind) => {
      const alone = hexOf(() => readDer(content));
      const [element] = readDer(Buffer.concat([sequence(content), sequence(behind)]));
      assert.deepEqual(
        hexOf(() => element?.elements() ?? []),
        alone,
      );
    }),
    { numRuns: 2000 },
  );
});

test("an element is what has the same octets, all of them", () => {
  const [element] = readDer(Buffer.concat([objectIdentifier("2.5.29.17"), sequence()]));
  assert.equal(element?.is(objectIdentifier("2.5.29.17")), true);
  for (const other of ["0603551d12", "0603551d", "0603551d113000", "04", ""]) {
    assert.equal(element?.is(Buffer.from(other, "hex")), false, other);
  }
});

/** Null where there is nothing to read. */
function hexOf(read: () => readonly DerElement[]): string[] | null {
  try {
    return read().map(({ raw }) => raw.toString("hex"));
  } catch (error) {
    assert.ok(error instanceof RangeError);
    return null;
  }
}

for (const text of [
  "260230000000Z",
  "261301000000Z",
  "260101240000Z",
  "260101006000Z",
  "260101000060Z",
  "2601010000600Z",
  "260101000000+0000",
  "26010100000Z",
  "00500101000000Z",
]) {
  test(`a time of ${text} is none`, () => {
    const tag = text.length === 15 ? TAG.generalizedTime : TAG.utcTime;
    assert.throws(() => timeOf({ tag, content: Buffer.from(text) }), RangeError);
  });
}

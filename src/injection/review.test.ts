import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseReview } from "./review.ts";

const MAX_DEPTH = 64;

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

test("a document is too deep exactly where its own nesting is, whatever its texts hold", () => {
  const key = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom('"', "\\", '\\"', "[{", "}]", '"[', "\\\\"));
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, key, fc.array(tie("tree"), { maxLength: 3 }), fc.dictionary(key, tie("tree"))),
  }));
  fc.assert(
    fc.property(tree, fc.integer({ min: 55, max: 70 }), (inner, wrappings) => {
      let value: unknown = inner;
      for (let i = 0; i < wrappings; i++) value = i % 2 === 0 ? [value] : { '"]\\': value };
      assert.throws(
        () => parseReview(Buffer.from(JSON.stringify(value))),
        depthOf(value) > MAX_DEPTH ? /nested deeper than 64 levels/ : /not an AdmissionReview/,
      );
    }),
    { numRuns: 500 },
  );
});

test("a text without an end is no JSON, and nothing worse", () => {
  for (const text of ['"', '"\\', '{"a', '{"a\\"', '["'.repeat(100)]) {
    assert.throws(() => parseReview(Buffer.from(text)), /^TrysailError: not JSON$/);
  }
});

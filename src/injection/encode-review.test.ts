import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { encodeReview } from "./encode-review.ts";

const base64 = fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64"));
const responses = fc.record(
  {
    uid: fc.string({ unit: "grapheme" }),
    allowed: fc.boolean(),
    patchType: fc.constant("JSONPatch"),
    patch: base64,
    warnings: fc.array(fc.string({ unit: "grapheme" })),
    status: fc.record({ code: fc.nat(), message: fc.string({ unit: "grapheme" }) }, { noNullPrototype: true }),
  },
  { requiredKeys: ["uid", "allowed"], noNullPrototype: true },
);

test("a response reads back as it was, with a patch or without", () => {
  fc.assert(
    fc.property(responses, (response) => {
      assert.deepEqual(JSON.parse(encodeReview(response).toString("utf8")), {
        apiVersion: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response,
      });
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { apiServerReview, reviewText } from "../../test/support/api-server-review.ts";
import { decodeReview } from "./decode-review.ts";

const review = apiServerReview({ number: 1 });
const { managedFields, ...metadata } = review.request.object.metadata;

test("of what Kubernetes' API server writes nothing is missing but who set which field", () => {
  assert.ok(managedFields.length > 0);
  assert.deepEqual(
    decodeReview(reviewText({ number: 1 })),
    withObject({ metadata: { ...metadata, managedFields: [] } }),
  );
});

const FIELDS = [{ manager: "kubectl", fieldsV1: { "f:spec": [{ spec: {} }] } }];
const claim = { ephemeral: { volumeClaimTemplate: { metadata: { name: "data", managedFields: FIELDS }, spec: {} } } };

const others: readonly [title: string, value: unknown][] = [
  ["no such list", withObject({ metadata })],
  ["the list of a claim within the pod", withObject({ metadata, spec: { volumes: [claim] } })],
  [
    "the list of the object before",
    { ...review, request: { oldObject: { metadata: { name: "", managedFields: FIELDS }, spec: {} } } },
  ],
  ["a list before other metadata", withObject({ metadata: { name: "", managedFields: FIELDS, labels: {} }, spec: {} })],
  ["a list behind the spec", { request: { object: { spec: {}, metadata: { name: "", managedFields: FIELDS } } } }],
  ["a text that reads like a list", withObject({ metadata: { name: ',"managedFields":[]},"spec":{' }, spec: {} })],
  ["something else of that name", withObject({ metadata: { name: "", managedFields: { a: FIELDS } }, spec: {} })],
  ["nothing of a review", { a: 1, managedFields: FIELDS }],
];
for (const [title, value] of others) {
  test(`${title}: decoded whole`, () => assert.deepEqual(decodeReview(JSON.stringify(value)), value));
}

test("whatever a list holds, and stands beside, all else is decoded as it was", () => {
  // The engine's JSON.parse takes a quotation mark for the backslash, as a name, where it met that as the name before.
  const name = fc.string().filter((text) => !text.includes("\\"));
  const key = fc.oneof(name, fc.constantFrom("managedFields", "spec", "metadata"));
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(',"managedFields":[', ']},"spec":{', "cut out"),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(key, tie("tree"), { noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(fc.array(tree), tree, tree, (list, label, spec) => {
      const object = { metadata: { labels: label, managedFields: list }, spec: { inner: spec } };
      const text = JSON.stringify({ request: { object } });
      const decoded = decodeReview(text);
      const emptied = { request: { object: { ...object, metadata: { ...object.metadata, managedFields: [] } } } };
      // Whole where the label has such a list in it too.
      const expected = [emptied, JSON.parse(text)].map((value) => JSON.stringify(value));
      assert.ok(expected.includes(JSON.stringify(decoded)), `${text} became ${JSON.stringify(decoded)}`);
    }),
    { numRuns: 1000 },
  );
});

test("what is no JSON beside the list is no JSON", () => {
  const text = reviewText({ number: 1 });
  for (const broken of [`${text}}`, text.slice(0, -1), text.replace('"spec":{', '"spec":{,')]) {
    assert.throws(() => decodeReview(broken), SyntaxError);
  }
});

function withObject(object: object) {
  return { ...review, request: { ...review.request, object: { ...review.request.object, ...object } } };
}

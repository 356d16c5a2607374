import assert from "node:assert/strict";
import { test } from "node:test";
import { apiServerReview, reviewText } from "../../test/support/api-server-review.ts";
import { readReviewKey } from "./review-key.ts";

const keyOf = (text: string, tag?: string) => readReviewKey(Buffer.from(text), tag)?.key;

test("the reviews of one ReplicaSet's pods have one key, and each its uid", () => {
  const first = readReviewKey(Buffer.from(reviewText({ number: 1 })));
  const second = readReviewKey(Buffer.from(reviewText({ number: 2 })));
  assert.notEqual(reviewText({ number: 1 }), reviewText({ number: 2 }));
  assert.ok(first);
  assert.equal(first.key, second?.key);
  assert.deepEqual(
    [first.uid, second?.uid],
    [apiServerReview({ number: 1 }), apiServerReview({ number: 2 })].map((of) => of.request.uid),
  );
});

test("the key is another under another tag", () => {
  const text = reviewText({ number: 1 });
  assert.equal(new Set([keyOf(text), keyOf(text, ""), keyOf(text, "a"), keyOf(text, "b")]).size, 4);
});

const elsewhere: readonly [title: string, (token: string) => string][] = [
  ["a label", (token) => `"labels":{"name":"${token}",`],
  ["a label of another name", (token) => `"labels":{"volume":"${token}",`],
];
for (const [title, labels] of elsewhere) {
  test(`a name like the token volume's counts where it stands for something else: ${title}`, () => {
    const text = reviewText({ number: 1 });
    const withLabel = (token: string) => text.replace('"labels":{', labels(token));
    assert.notEqual(keyOf(withLabel("kube-api-access-aaaaa")), keyOf(withLabel("kube-api-access-bbbbb")));
  });
}

test("a time counts where it is not that of a field's manager", () => {
  const text = reviewText({ number: 1 });
  const withAnnotation = (time: string) => text.replace('"annotations":{', `"annotations":{"time":"${time}",`);
  assert.notEqual(keyOf(withAnnotation("2026-01-01T00:00:00Z")), keyOf(withAnnotation("2026-01-01T00:00:01Z")));
});

const others: readonly [title: string, text: string][] = [
  ["is empty", ""],
  ["is not JSON", "no review"],
  [
    "has another order of fields",
    JSON.stringify({ ...apiServerReview({ number: 1 }), kind: "AdmissionReview", apiVersion: "v1" }),
  ],
  ["has a uid of another form", reviewText({ number: 1 }).replace(/"uid":"[^"]*"/, '"uid":"1"')],
  ["has a uid that ends in escapes", reviewText({ number: 1 }).replace(/"uid":"[^"]{3}/, '"uid":"\\\\\\"')],
  ["is large", reviewText({ number: 1 }).replace('"annotations":{', `"annotations":{"a":"${"x".repeat(65_536)}",`)],
];
for (const [title, text] of others) {
  test(`a body that ${title} has no key`, () => assert.equal(keyOf(text), undefined));
}

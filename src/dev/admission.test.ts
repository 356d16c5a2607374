import assert from "node:assert/strict";
import { test } from "node:test";
import { applyAnswer, buildReview } from "./admission.ts";
import { parsePod } from "./pod.ts";

const pod = parsePod({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "shop", generateName: "web-1-", labels: { app: "web" } },
  spec: { containers: [{ name: "web", image: "web" }] },
});

function answer(response: object): string {
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid: "u", allowed: true, ...response },
  });
}

function patch(operations: unknown): object {
  return { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(operations)).toString("base64") };
}

test("a review is what an API server sends for a pod whose name is still open", () => {
  const review: { request?: Record<string, unknown> } = buildReview(pod, "u");
  assert.equal(review.request?.uid, "u");
  assert.equal(review.request?.operation, "CREATE");
  assert.equal(review.request?.namespace, "shop");
  assert.equal("name" in (review.request ?? {}), false);
  assert.equal(review.request?.object, pod);
});

test("a patch is applied, and the pod that was asked for stays as it was", () => {
  const added = { name: "proxy", image: "envoy" };
  const result = applyAnswer(pod, "u", answer(patch([{ op: "add", path: "/spec/containers/-", value: added }])));
  assert.equal(result.patched, true);
  assert.deepEqual(
    result.pod.spec.containers.map(({ name }) => name),
    ["web", "proxy"],
  );
  assert.equal(pod.spec.containers.length, 1);
});

test("no patch leaves the pod as it is", () => {
  assert.deepEqual(applyAnswer(pod, "u", answer({ warnings: ["old field"] })), {
    pod,
    patched: false,
    warnings: ["old field"],
  });
});

test("a refusal carries the webhook's words", () => {
  const refused = answer({ allowed: false, status: { message: "not in this namespace" } });
  assert.throws(() => applyAnswer(pod, "u", refused), { code: "permission-denied", message: "not in this namespace" });
});

const broken: [name: string, text: string, message: RegExp][] = [
  ["no JSON", "<html>", /not JSON/],
  ["another kind of object", '{"hello":1}', /no AdmissionReview/],
  ["an answer to another review", answer({ uid: "other" }), /another review/],
  ["a patch of another type", answer({ ...patch([]), patchType: "MergePatch" }), /MergePatch/],
  ["a patch that is no list", answer(patch({ op: "add" })), /no list of operations/],
  ["a patch that does not fit", answer(patch([{ op: "remove", path: "/spec/nothing/here" }])), /does not fit/],
  [
    "a patch that breaks the pod",
    answer(patch([{ op: "remove", path: "/spec/containers" }])),
    /the pod is not valid: spec/,
  ],
  ["a patch into the prototype", answer(patch([{ op: "add", path: "/__proto__/evil", value: 1 }])), /does not fit/],
];
for (const [name, text, message] of broken) {
  test(`${name} is refused`, () => {
    assert.throws(() => applyAnswer(pod, "u", text), message);
    assert.equal("evil" in {}, false);
  });
}

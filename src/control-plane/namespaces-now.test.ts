import assert from "node:assert/strict";
import { test } from "node:test";
import { document } from "../../test/support/manifests.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { objectsOf, setOf } from "../../test/support/mesh.ts";
import { createNamespacesNow } from "./namespaces-now.ts";

const labelled = (labels: object, annotations: object = {}) =>
  setOf(objectsOf(document({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels, annotations } })));
const ENABLED = { "istio-injection": "enabled" };
const CANARY = { "istio.io/rev": "canary" };

test("a namespace is looked up as the source has it at this moment", () => {
  let current = labelled(ENABLED);
  const { namespaceOf } = createNamespacesNow({ current: () => current }, createManualClock(0));
  const first = namespaceOf("shop");
  assert.deepEqual(first?.metadata.labels, ENABLED);
  assert.equal(namespaceOf("shop"), first, "the same object while nothing changes");
  current = labelled(CANARY);
  assert.deepEqual(namespaceOf("shop")?.metadata.labels, CANARY);
  assert.equal(namespaceOf("other"), undefined);
});

test("a namespace's labels of before are known for some seconds behind their change, unless it is made anew", () => {
  let current = labelled(ENABLED);
  const clock = createManualClock(0);
  const { namespaceOf, formerNamespaceOf } = createNamespacesNow({ current: () => current }, clock);
  const former = () => formerNamespaceOf("shop")?.metadata.labels;
  namespaceOf("shop");
  assert.equal(former(), undefined);
  current = labelled(ENABLED, { note: "1" });
  assert.equal(former(), undefined, "only its labels count");
  current = labelled(CANARY);
  assert.deepEqual(former(), ENABLED);
  clock.advance(9_999);
  current = labelled(CANARY, { note: "2" });
  assert.deepEqual(former(), ENABLED);
  clock.advance(1);
  assert.equal(former(), undefined);
  current = labelled(ENABLED);
  assert.deepEqual(former(), CANARY);
  current = setOf([]);
  assert.equal(former(), undefined);
});

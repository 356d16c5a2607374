import assert from "node:assert/strict";
import { test } from "node:test";
import { document } from "../../test/support/manifests.ts";
import { objectsOf, setOf } from "../../test/support/mesh.ts";
import { createNamespacesNow } from "./namespaces-now.ts";

const labelled = (labels: object) =>
  setOf(objectsOf(document({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop", labels } })));

test("a namespace is looked up as the source has it at this moment", () => {
  let current = labelled({ "istio-injection": "enabled" });
  const namespaceOf = createNamespacesNow({ current: () => current });
  const first = namespaceOf("shop");
  assert.deepEqual(first?.metadata.labels, { "istio-injection": "enabled" });
  assert.equal(namespaceOf("shop"), first, "the same object while nothing changes");
  current = labelled({ "istio.io/rev": "canary" });
  assert.deepEqual(namespaceOf("shop")?.metadata.labels, { "istio.io/rev": "canary" });
  assert.equal(namespaceOf("other"), undefined);
});

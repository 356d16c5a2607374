import assert from "node:assert/strict";
import { test } from "node:test";
import { document } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { analyzeReferences } from "./analyze.ts";

test("a WorkloadGroup is told that it makes no WorkloadEntries, and what does", () => {
  const group = document({
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadGroup",
    metadata: { name: "vms", namespace: "shop" },
    spec: { template: { serviceAccount: "vm" } },
  });
  assert.deepEqual(
    analyzeReferences(objectsOf(group)).map(({ severity, code, message }) => `${severity} ${code} ${message}`),
    [
      "warning field-unsupported WorkloadGroup shop/vms: spec.template makes no WorkloadEntries, since machines cannot register themselves yet: write a WorkloadEntry for each machine",
    ],
  );
});

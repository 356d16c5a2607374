import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_CLUSTERS, wantedClusters } from "./wanted-clusters.ts";

const secret = (name: string, keys: readonly string[]) => ({
  metadata: { name, namespace: "trysail-system" },
  data: Object.fromEntries(keys.map((key) => [key, Buffer.from(`of ${key}`).toString("base64")])),
});

test("each key of a Secret names a cluster and has its kubeconfig", () => {
  const { wanted, findings } = wantedClusters([secret("b", ["west"]), secret("a", ["east", "north"])], "home");
  assert.deepEqual(
    [...wanted],
    [
      ["east", { secret: "trysail-system/a", kubeconfig: "of east" }],
      ["north", { secret: "trysail-system/a", kubeconfig: "of north" }],
      ["west", { secret: "trysail-system/b", kubeconfig: "of west" }],
    ],
  );
  assert.deepEqual(findings, []);
});

test("a Secret with as many keys as it has room for adds no more clusters than a mesh may have, and one Finding", () => {
  const many = Array.from({ length: 100_000 }, (_, at) => `c${String(at).padStart(6, "0")}`);
  const { wanted, findings } = wantedClusters([secret("many", many), secret("next", ["later"])], "home");
  assert.equal(wanted.size, MAX_CLUSTERS);
  assert.deepEqual(
    findings.map(({ code, object, field }) => [code, object?.name, field]),
    [["value-invalid", "many", 'data["c000100"]']],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { istio, meshConfig } from "../../test/support/manifests.ts";
import { meshOf } from "../../test/support/mesh.ts";

const root = istio("VirtualService", "root", {
  hosts: ["web.test"],
  http: [{ delegate: { name: "leaf", namespace: "data" } }],
});
const leaf = (spec: object) => istio("VirtualService", "leaf", { http: [{ redirect: { uri: "/" } }], ...spec }, "data");
const kept = meshConfig('defaultVirtualServiceExportTo: ["."]');

const rows: [what: string, manifests: string[], routes: number][] = [
  ["of another namespace", [leaf({})], 1],
  ["that is not exported", [leaf({ exportTo: ["."] })], 0],
  ["that the mesh keeps to its namespace", [kept, leaf({})], 0],
  ["that is exported though the mesh would keep it", [kept, leaf({ exportTo: ["shop"] })], 1],
];
for (const [what, manifests, routes] of rows) {
  test(`a delegate ${what}: ${routes} routes`, () => {
    const found = meshOf([root, ...manifests].join("")).virtualServices;
    assert.deepEqual(
      found.map(({ spec }) => spec.http?.length),
      [routes],
    );
  });
}

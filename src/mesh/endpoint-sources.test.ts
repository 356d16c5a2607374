import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, service } from "../../test/support/manifests.ts";
import { objectsOf, setOf } from "../../test/support/mesh.ts";
import { createSnapshotBuilder, type MeshSnapshot } from "./snapshot.ts";

const services = objectsOf(
  [service({ name: "web", ports: { http: 80 } }), service({ name: "db", ports: { http: 80 } })].join(""),
);
const webAt = (ip: string) => objectsOf(endpoint("web", { name: "web-1", ip }, { http: 8080 }));
const db = objectsOf(endpoint("db", { name: "db-1", ip: "10.1.1.1" }, { http: 8080 }));

function endpointsOf(mesh: MeshSnapshot, name: string) {
  const found = mesh.services.find((one) => one.name === name);
  assert.ok(found !== undefined);
  return mesh.endpointsOf(found);
}

test("endpoints keep their identity until their own change, however many snapshots come between", () => {
  const builder = createSnapshotBuilder("cluster.local");
  const before = [...services, ...webAt("10.1.0.1"), ...db];
  const first = builder.build(setOf(before));
  for (let round = 0; round < 5; round++) {
    const same = builder.build(setOf(before));
    assert.equal(endpointsOf(same, "web"), endpointsOf(first, "web"));
  }
  const after = builder.build(setOf([...services, ...webAt("10.1.0.2"), ...db]));
  assert.equal(endpointsOf(after, "db"), endpointsOf(first, "db"));
  assert.deepEqual(
    endpointsOf(after, "web").endpoints.map(({ address }) => address),
    ["10.1.0.2"],
  );
  const gone = builder.build(setOf([...services, ...db]));
  assert.deepEqual(endpointsOf(gone, "web").endpoints, []);
});

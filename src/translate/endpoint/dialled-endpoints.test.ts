import assert from "node:assert/strict";
import { test } from "node:test";
import { document, endpoint, pod, service } from "../../../test/support/manifests.ts";
import { objectsOf, resourcesFor } from "../../../test/support/mesh.ts";
import { createSnapshotBuilder } from "../../mesh/snapshot.ts";
import { BuildCache } from "../../platform/build-cache.ts";
import { TYPE_URL } from "../../xds/resource-set.ts";
import { buildDnsRecord } from "../dns-record.ts";
import { dialledEndpoints } from "./dialled-endpoints.ts";

const inNetwork = (network: string) =>
  document({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "istio-system", labels: { "topology.istio.io/network": network } },
  });
const db = service({ name: "db", ports: { tcp: 5432 } });
const dbAt = (name: string, ip: string) =>
  pod({ name, ip, labels: { app: "db" }, tls: true }) + endpoint("db", { name, ip }, { tcp: 5432 });
const gateway = document({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "gateway", namespace: "istio-system", labels: { "topology.istio.io/network": "there" } },
  spec: { clusterIP: "10.96.1.1", ports: [{ name: "tls", port: 15443 }], externalIPs: ["192.0.2.1"] },
});

function dialled(far: string) {
  const caller = pod({ name: "caller", ip: "10.1.0.9", tls: true });
  const mesh = createSnapshotBuilder("cluster.local").build({
    objects: objectsOf(inNetwork("here") + caller + db + dbAt("db-0", "10.1.0.1")),
    findings: [],
    remotes: [{ cluster: "east", objects: objectsOf(far) }],
  });
  const found = mesh.services.find(({ name }) => name === "db");
  assert.ok(found !== undefined);
  const listeners = [...(resourcesFor(mesh, "caller.shop").get(TYPE_URL.listener)?.byName.keys() ?? [])];
  return {
    answered: buildDnsRecord(found, dialledEndpoints(mesh, found, new BuildCache()), false)?.addresses,
    intercepted: listeners.filter((name) => name.endsWith("_5432")),
  };
}

test("endpoints of a headless service in another cluster are dialled as those at hand", () => {
  const { answered, intercepted } = dialled(inNetwork("here") + db + dbAt("db-0", "10.2.0.1"));
  assert.deepEqual(answered, ["10.1.0.1", "10.2.0.1"]);
  assert.deepEqual(intercepted, ["10.1.0.1_5432", "10.2.0.1_5432"]);
});

test("the addresses of a headless service's endpoints behind a gateway are nobody's here, or somebody else's", () => {
  for (const ip of ["10.2.0.1", "10.1.0.1"]) {
    const { answered, intercepted } = dialled(inNetwork("there") + gateway + db + dbAt("db-0", ip));
    assert.deepEqual(answered, ["10.1.0.1"]);
    assert.deepEqual(intercepted, ["10.1.0.1_5432"]);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { meshConfig } from "../../test/support/manifests.ts";
import { objectsOf, setOf } from "../../test/support/mesh.ts";
import { createSnapshotBuilder } from "./snapshot.ts";

const namespace = (name: string, labels = "{}") => `---
apiVersion: v1
kind: Namespace
metadata: { name: ${name}, labels: ${labels} }
`;
const objectsIn = (name: string) => `---
apiVersion: v1
kind: Service
metadata: { name: app, namespace: ${name} }
spec: { selector: { app: app }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: app, namespace: ${name} }
spec: { hosts: [app], http: [{ route: [{ destination: { host: app } }] }] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: own, namespace: ${name} }
spec: { mtls: { mode: STRICT } }
`;
const names = ["inside", "outside", "trysail-system"];
const objects = names.map(objectsIn).join("");
const namespaces = namespace("inside", '{ mesh: "yes" }') + namespace("outside") + namespace("trysail-system");
const MESHED = 'discoverySelectors: [{ matchLabels: { mesh: "yes" } }]';

const cases: readonly [title: string, mesh: string, namespaces: string, expected: readonly string[]][] = [
  ["without selectors every namespace is part of the mesh", "{}", namespaces, names],
  [
    "namespaces that no selector selects are not part of the mesh, but for the root namespaces",
    MESHED,
    namespaces,
    ["inside", "trysail-system"],
  ],
  [
    "one of several selectors is enough, also by name where there is no Namespace",
    `discoverySelectors: [{ matchLabels: { no: one } }, { matchExpressions: [{ key: kubernetes.io/metadata.name, operator: In, values: [outside] }] }]`,
    "",
    ["outside", "trysail-system"],
  ],
  ["an empty selector selects all", "discoverySelectors: [{}]", namespaces, names],
  ["selectors that cannot be read select as the last ones, here all", "discoverySelectors: yes", namespaces, names],
];
for (const [title, mesh, withNamespaces, expected] of cases) {
  test(title, () => {
    const built = createSnapshotBuilder("cluster.local").build(
      setOf(objectsOf(meshConfig(mesh) + withNamespaces + objects)),
    );
    assert.deepEqual(
      built.services.map((service) => service.namespace),
      expected,
    );
    assert.deepEqual(built.virtualServices.map(({ metadata }) => metadata.namespace).sort(), expected);
    for (const name of names.slice(0, 2)) {
      const own = built.peerAuthenticationsFor(name).some(({ metadata }) => metadata.namespace === name);
      assert.equal(own, expected.includes(name), name);
    }
  });
}

test("a namespace joins and leaves with its label, and with the selectors", () => {
  const builder = createSnapshotBuilder("cluster.local");
  const servicesWith = (mesh: string, labels: string) =>
    builder
      .build(setOf(objectsOf(meshConfig(mesh) + namespace("outside", labels) + objectsIn("outside"))))
      .services.map((service) => service.namespace);
  assert.deepEqual(servicesWith(MESHED, "{}"), []);
  assert.deepEqual(servicesWith(MESHED, '{ mesh: "yes" }'), ["outside"]);
  assert.deepEqual(servicesWith(MESHED, '{ mesh: "no" }'), []);
  assert.deepEqual(servicesWith("{}", '{ mesh: "no" }'), ["outside"]);
});

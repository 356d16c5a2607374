import assert from "node:assert/strict";
import { test } from "node:test";
import { meshConfig } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, setOf } from "../../test/support/mesh.ts";
import { createSnapshotBuilder } from "./snapshot.ts";

const defaults = {
  trustDomain: "cluster.local",
  rootNamespaces: ["trysail-system", "istio-system"],
  domain: "cluster.local",
  enableAutoMtls: true,
  outboundTrafficPolicy: "ALLOW_ANY",
};

const rows: [mesh: string, differs: object, findings: [severity: string, code: string, field: string][]][] = [
  ["", {}, []],
  ["{}", {}, []],
  ["outboundTrafficPolicy: { mode: REGISTRY_ONLY }", { outboundTrafficPolicy: "REGISTRY_ONLY" }, []],
  ["{ rootNamespace: ops, enableAutoMtls: false }", { rootNamespaces: ["ops"], enableAutoMtls: false }, []],
  ["{ rootNamespace: null }", {}, []],
  ["trustDomain: cluster.local", {}, []],
  ["trustDomain: other", {}, [["error", "value-invalid", "data.mesh.trustDomain"]]],
  ["accessLogFile: /dev/stdout", {}, [["warning", "field-unsupported", "data.mesh.accessLogFile"]]],
  ["toString: 1", {}, [["warning", "field-unsupported", "data.mesh.toString"]]],
  [
    "{ rootNamespace: 5, enableAutoMtls: false }",
    { enableAutoMtls: false },
    [["error", "schema-invalid", "data.mesh.rootNamespace"]],
  ],
  [
    "outboundTrafficPolicy: { mode: REGISTRY_ONLY, egressProxy: {} }",
    { outboundTrafficPolicy: "REGISTRY_ONLY" },
    [["warning", "field-unsupported", "data.mesh.outboundTrafficPolicy.egressProxy"]],
  ],
  [
    "outboundTrafficPolicy: { mode: NOTHING }",
    {},
    [["error", "schema-invalid", "data.mesh.outboundTrafficPolicy.mode"]],
  ],
  ["[", {}, [["error", "document-malformed", "data.mesh"]]],
  ["just text", {}, [["error", "schema-invalid", "data.mesh"]]],
  ["[a, b]", {}, [["error", "schema-invalid", "data.mesh"]]],
];

for (const [yaml, differs, findings] of rows) {
  test(`mesh config ${JSON.stringify(yaml)}`, () => {
    const mesh = meshOf(meshConfig(yaml));
    assert.deepEqual(mesh.config, { ...defaults, ...differs });
    assert.deepEqual(
      mesh.findings.map(({ severity, code, field }) => [severity, code, field]),
      findings,
    );
  });
}

test("Istio's own ConfigMap is read too, and Trysail's comes before it", () => {
  const theirs = meshConfig("rootNamespace: theirs").replace("trysail-system", "istio-system");
  assert.deepEqual(meshOf(theirs).config.rootNamespaces, ["theirs"]);
  assert.deepEqual(meshOf(theirs + meshConfig("rootNamespace: ours")).config.rootNamespaces, ["ours"]);
  assert.deepEqual(meshOf(theirs.replace('"istio"', '"other"')).config.rootNamespaces, defaults.rootNamespaces);
});

test("what a mistake makes unreadable stays as it was, and what is taken out has its default again", () => {
  const snapshots = createSnapshotBuilder("cluster.local");
  const closed = "outboundTrafficPolicy: { mode: REGISTRY_ONLY }\nrootNamespace: ops";
  const policyAfter = (yaml: string) => {
    const { outboundTrafficPolicy, rootNamespaces } = snapshots.build(setOf(objectsOf(meshConfig(yaml)))).config;
    return [outboundTrafficPolicy, rootNamespaces[0]];
  };
  assert.deepEqual(policyAfter(closed), ["REGISTRY_ONLY", "ops"]);
  assert.deepEqual(policyAfter("outboundTrafficPolicy: {{"), ["REGISTRY_ONLY", "ops"]);
  assert.deepEqual(policyAfter("outboundTrafficPolicy: { mode: NOTHING }"), ["REGISTRY_ONLY", "trysail-system"]);
  assert.deepEqual(policyAfter("{}"), ["ALLOW_ANY", "trysail-system"]);
});

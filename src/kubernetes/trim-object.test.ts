import assert from "node:assert/strict";
import { test } from "node:test";
import { decide } from "../injection/decide.ts";
import { defaultInjectionConfig } from "../injection/injection-config.ts";
import { parsePod } from "../injection/review.ts";
import { readObject } from "../mesh/parse-object.ts";
import { type KindSchema, kindSchemaOf } from "../mesh/schemas.ts";
import { trimObject } from "./trim-object.ts";

function schemaOf(kind: string): KindSchema {
  const entry = kindSchemaOf(kind);
  assert.ok(entry);
  return entry;
}

const bookkeeping = {
  uid: "u",
  resourceVersion: "7",
  generation: 3,
  managedFields: [{ manager: "kubectl" }],
  annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}", team: "shop" },
};

test("of Kubernetes' kinds the schema's fields stay, also inside lists and of unions", () => {
  const slice = {
    metadata: { name: "web-1", namespace: "shop", ...bookkeeping },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: true }, deprecatedTopology: { rack: "1" } }],
    ports: null,
    unread: { much: "text" },
  };
  assert.deepEqual(trimObject(slice, schemaOf("EndpointSlice")), {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "web-1", namespace: "shop", uid: "u", annotations: { team: "shop" } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: true } }],
    ports: null,
  });
});

test("of Istio's kinds unknown fields stay, to be reported, and the status goes", () => {
  const head = { apiVersion: "networking.istio.io/v1beta1", kind: "VirtualService" };
  const spec = { hosts: ["web"], http: [{ redirect: { uri: "/" } }], htpp: [] };
  const metadata = { name: "web", generation: 3 };
  const trimmed = trimObject({ ...head, metadata, spec, status: {} }, schemaOf("VirtualService"));
  assert.deepEqual(trimmed, { ...head, metadata, spec }, "a status is about a version of the object");
  const [finding] = readObject(trimmed).findings;
  assert.equal(finding?.field, "spec.htpp");
});

test("metadata alone makes an object of its kind", () => {
  const partial = { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata", metadata: { name: "shop" } };
  const trimmed = trimObject(partial, schemaOf("Namespace"));
  assert.deepEqual(trimmed, { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
});

for (const value of [null, "text", 7, [], { metadata: null }, { metadata: [] }, { metadata: { name: "a" }, spec: 7 }]) {
  test(`what is no object, such as ${JSON.stringify(value)}, is left for the parser to report`, () => {
    const { object, findings } = readObject(trimObject(value, schemaOf("Pod")));
    assert.equal(object, undefined);
    assert.ok(findings.length > 0);
  });
}

const container = { name: "app", image: "app:1", env: [{ name: "A", value: "b" }] };
const pods: readonly [reason: string, pod: object][] = [
  ["injected", { metadata: { name: "a" }, spec: { containers: [container] } }],
  ["host-network", { metadata: { name: "a" }, spec: { containers: [container], hostNetwork: true } }],
  ["windows", { metadata: { name: "a" }, spec: { containers: [container], os: { name: "windows" } } }],
  [
    "windows",
    { metadata: { name: "a" }, spec: { containers: [container], nodeSelector: { "kubernetes.io/os": "windows" } } },
  ],
  [
    "static-pod",
    { metadata: { name: "a", annotations: { "kubernetes.io/config.mirror": "x" } }, spec: { containers: [container] } },
  ],
  [
    "already-injected",
    {
      metadata: { name: "a", annotations: { "sidecar.istio.io/status": "{}" } },
      spec: { containers: [container], initContainers: [{ name: "istio-proxy", image: "envoy" }] },
    },
  ],
];

for (const [reason, pod] of pods) {
  test(`what is left of a pod still tells whether it is to be injected: ${reason}`, () => {
    const { object } = readObject(trimObject(pod, schemaOf("Pod")));
    const decision = decide({
      pod: parsePod(object),
      namespace: "shop",
      namespaceLabels: { "istio-injection": "enabled" },
      config: defaultInjectionConfig,
    });
    assert.equal(decision.inject ? "injected" : decision.reason.code, reason);
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { meshConfig } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, setOf } from "../../test/support/mesh.ts";
import { createSnapshotBuilder } from "../mesh/snapshot.ts";
import { createRevokedIdentities } from "./revoked-identities.ts";

const cart = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "cart" };
const REVOKES = { "trysail.io/revokes-identities": "true" };
const from = (...principals: string[]) => [{ source: { principals } }];

interface Case {
  readonly title: string;
  readonly rules: readonly object[];
  readonly revokes: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly spec?: object;
  readonly annotations?: Readonly<Record<string, string>>;
}

const cases: readonly Case[] = [
  { title: "its principal", rules: [{ from: from("cluster.local/ns/shop/sa/cart") }], revokes: true },
  { title: "a namespace of it", rules: [{ from: from("cluster.local/ns/shop/*") }], revokes: true },
  { title: "an account of any namespace", rules: [{ from: from("*/sa/cart") }], revokes: true },
  { title: "another principal", rules: [{ from: from("cluster.local/ns/shop/sa/page") }], revokes: false },
  { title: "a name that it begins with", rules: [{ from: from("cluster.local/ns/shop/sa/car") }], revokes: false },
  {
    title: "its principal in a second rule",
    rules: [{ from: from("x") }, { from: from("cluster.local/ns/shop/sa/cart") }],
    revokes: true,
  },
  {
    title: "its principal for one path",
    rules: [{ from: from("cluster.local/ns/shop/sa/cart"), to: [{ operation: { paths: ["/a"] } }] }],
    revokes: false,
  },
  {
    title: "its principal from one address",
    rules: [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/cart"], ipBlocks: ["10.0.0.1"] } }] }],
    revokes: false,
  },
  {
    title: "it, without the label",
    rules: [{ from: from("cluster.local/ns/shop/sa/cart") }],
    labels: {},
    revokes: false,
  },
  {
    title: "it, in a namespace that does not speak for the mesh",
    rules: [{ from: from("cluster.local/ns/shop/sa/cart") }],
    namespace: "shop",
    revokes: false,
  },
  {
    title: "it, by allowing",
    rules: [{ from: from("cluster.local/ns/shop/sa/cart") }],
    spec: { action: "ALLOW" },
    revokes: false,
  },
  {
    title: "it, for some workloads",
    rules: [{ from: from("cluster.local/ns/shop/sa/cart") }],
    spec: { selector: { matchLabels: { app: "a" } } },
    revokes: false,
  },
  {
    title: "it, in a dry run",
    rules: [{ from: from("cluster.local/ns/shop/sa/cart") }],
    annotations: { "istio.io/dry-run": "true" },
    revokes: false,
  },
];
for (const one of cases) {
  const { title, rules, revokes, labels = REVOKES, namespace = "trysail-system", spec = {}, annotations = {} } = one;
  test(`a policy that names ${title} ${revokes ? "revokes" : "does not revoke"} the identity`, () => {
    const mesh = meshOf(
      JSON.stringify({
        apiVersion: "security.istio.io/v1",
        kind: "AuthorizationPolicy",
        metadata: { name: "revoked", namespace, labels, annotations },
        spec: { action: "DENY", rules, ...spec },
      }),
    );
    const check = () => createRevokedIdentities(() => mesh).assertNotRevoked(cart);
    if (!revokes) return check();
    const message = "this identity is revoked by AuthorizationPolicy trysail-system/revoked";
    assert.throws(check, { code: "permission-denied", message });
  });
}

for (const principal of ["cluster.local/ns/shop/sa/cart", "old.example/ns/shop/sa/cart", "own.example/ns/shop/*"]) {
  test(`${principal} revokes the identity by every name of its trust domain`, () => {
    const mesh = createSnapshotBuilder("own.example").build(
      setOf(
        objectsOf(
          meshConfig("{ trustDomainAliases: [old.example], rootNamespace: trysail-system }") +
            JSON.stringify({
              apiVersion: "security.istio.io/v1",
              kind: "AuthorizationPolicy",
              metadata: { name: "revoked", namespace: "trysail-system", labels: REVOKES },
              spec: { action: "DENY", rules: [{ from: from(principal) }] },
            }),
        ),
      ),
    );
    const { assertNotRevoked } = createRevokedIdentities(() => mesh);
    assert.throws(() => assertNotRevoked({ ...cart, trustDomain: "own.example" }), { code: "permission-denied" });
    assertNotRevoked({ ...cart, serviceAccount: "page", namespace: "other", trustDomain: "own.example" });
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, istio, meshConfig, pod, service } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, setOf } from "../../test/support/mesh.ts";
import { createSnapshotBuilder, type MeshSnapshot } from "./snapshot.ts";

const web = { name: "web-0", ip: "10.1.0.1", labels: { app: "web" } };
const policy = (name: string, namespace: string) => istio("AuthorizationPolicy", name, { rules: [{}] }, namespace);
const objects = objectsOf(
  [
    service({ name: "web", ports: { http: 80 } }),
    service({ name: "db", namespace: "data", ports: { tcp: 5432 } }),
    pod(web),
    endpoint("web", web, { http: 8080 }),
    istio("VirtualService", "web", { hosts: ["web"], http: [{ redirect: { uri: "/" } }] }),
    istio("DestinationRule", "web", { host: "web" }),
    policy("all", "trysail-system"),
    policy("own", "shop"),
    istio("PeerAuthentication", "own", {}),
  ].join(""),
);

function webOf({ services }: MeshSnapshot) {
  const found = services.find(({ hostname }) => hostname === "web.shop.svc.cluster.local");
  assert.ok(found !== undefined);
  return found;
}

/** The parts of a snapshot that others are built from. */
const parts = (mesh: MeshSnapshot) => ({
  config: mesh.config,
  web: webOf(mesh),
  endpoints: mesh.endpointsOf(webOf(mesh)),
  virtualServices: mesh.virtualServices,
  destinationRules: mesh.destinationRules,
  peerAuthentications: mesh.peerAuthenticationsFor("shop"),
  policies: mesh.authorizationPoliciesFor("shop"),
  rootPolicies: mesh.authorizationPoliciesFor("nowhere"),
});

function partsThatDiffer(before: MeshSnapshot, after: MeshSnapshot): string[] {
  const [old, now] = [new Map(Object.entries(parts(before))), Object.entries(parts(after))];
  return now.filter(([key, part]) => old.get(key) !== part).map(([key]) => key);
}

const changes: [what: string, yaml: string, differing: string[]][] = [
  ["nothing", "", []],
  ["a pod that nobody knows", pod({ name: "other", ip: "10.1.0.9" }), []],
  ["another service", service({ name: "other", ports: { http: 80 } }), []],
  ["another namespace's policies", policy("theirs", "data"), []],
  ["another mesh config", meshConfig("enableAutoMtls: false"), ["config"]],
  ["another endpoint", endpoint("web", { ...web, name: "web-1" }, { http: 1 }), ["endpoints"]],
  [
    "another VirtualService",
    istio("VirtualService", "z", { hosts: ["z"], http: [{ redirect: { uri: "/" } }] }),
    ["virtualServices"],
  ],
  ["another DestinationRule", istio("DestinationRule", "z", { host: "z" }), ["destinationRules"]],
  ["another policy", policy("more", "shop"), ["policies"]],
  ["another policy of the mesh", policy("more", "trysail-system"), ["policies", "rootPolicies"]],
  ["another PeerAuthentication", istio("PeerAuthentication", "z", {}), ["peerAuthentications"]],
];

for (const [what, yaml, differing] of changes) {
  test(`from one snapshot to the next with ${what}, ${differing.join(" and ") || "no part"} changes`, () => {
    const builder = createSnapshotBuilder("cluster.local");
    const before = builder.build(setOf(objects));
    assert.deepEqual(partsThatDiffer(before, builder.build(setOf([...objects, ...objectsOf(yaml)]))), differing);
  });
}

test("a pod's labels are among what its endpoints are made of", () => {
  const builder = createSnapshotBuilder("cluster.local");
  const before = builder.build(setOf(objects));
  const relabelled = objectsOf(pod({ ...web, tls: true }));
  const after = builder.build(setOf([...objects.filter(({ kind }) => kind !== "Pod"), ...relabelled]));
  assert.deepEqual(partsThatDiffer(before, after), ["endpoints"]);
  assert.equal(after.endpointsOf(webOf(after)).endpoints[0]?.tlsCapable, true);
});

test("the order of the objects does not matter", () => {
  const [mesh, reversed] = [objects, objects.toReversed()].map((list) =>
    createSnapshotBuilder("cluster.local").build(setOf(list)),
  );
  assert.ok(mesh !== undefined && reversed !== undefined);
  assert.deepEqual(parts(reversed), parts(mesh));
  assert.deepEqual(reversed.services, mesh.services);
});

test("where two claim the same, the older comes first, then the first by name and namespace, and what is not stored yet last", () => {
  const at = (time: string, name: string, namespace: string) =>
    istio("VirtualService", name, { hosts: ["a.b"], http: [{ redirect: { uri: "/" } }] }, namespace).replace(
      '"metadata":{',
      `"metadata":{"creationTimestamp":${time},`,
    );
  const mesh = meshOf(
    [
      at("null", "new", "a"),
      at('"2026-01-02T00:00:00Z"', "a", "a"),
      at('"2026-01-01T00:00:00Z"', "b", "a"),
      at('"2026-01-01T00:00:00Z"', "a", "c"),
      at('"2026-01-01T00:00:00Z"', "a", "b"),
    ].join(""),
  );
  const order = mesh.virtualServices.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  assert.deepEqual(order, ["b/a", "c/a", "a/b", "a/a", "a/new"]);
});

test("policies of the root namespace come with every namespace's, which the mesh config may name", () => {
  const names = (mesh: MeshSnapshot, namespace: string) =>
    mesh.authorizationPoliciesFor(namespace).map(({ metadata }) => metadata.name);
  const yaml = policy("all", "trysail-system") + policy("own", "shop") + policy("ops", "ops");
  const mesh = meshOf(yaml);
  assert.deepEqual(names(mesh, "shop"), ["all", "own"]);
  assert.deepEqual(names(mesh, "nowhere"), ["all"]);
  assert.deepEqual(names(mesh, "trysail-system"), ["all"]);
  assert.deepEqual(names(meshOf(yaml + meshConfig("rootNamespace: ops")), "shop"), ["ops", "own"]);
});

test("a snapshot looks services, pods and namespaces up", () => {
  const mesh = createSnapshotBuilder("cluster.local").build(setOf(objects));
  assert.deepEqual(
    mesh.servicesIn("shop").map(({ name }) => name),
    ["web"],
  );
  assert.deepEqual(mesh.servicesIn("nowhere"), []);
  assert.equal(mesh.pods.get("shop/web-0")?.metadata.name, "web-0");
});

test("rules of one namespace for one host are one rule with the subsets of all", () => {
  const rule = (name: string, namespace: string, host: string, spec: string) =>
    `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: { host: ${host}, ${spec} }\n---\n`;
  const yaml =
    rule("a", "shop", "cart", "subsets: [{ name: v1, labels: { version: v1 } }]") +
    rule(
      "b",
      "shop",
      "cart.shop.svc.cluster.local",
      "trafficPolicy: { tls: { mode: DISABLE } }, subsets: [{ name: v1, labels: { version: other } }, { name: v2 }]",
    ) +
    rule("c", "shop", "cart", "exportTo: ['.'], subsets: [{ name: v3 }]") +
    rule("d", "bank", "cart.shop.svc.cluster.local", "subsets: [{ name: v4 }]");
  const merged = meshOf(yaml).destinationRules.map(({ metadata, spec }) => [
    metadata.name,
    spec.trafficPolicy?.tls?.mode,
    spec.subsets,
  ]);
  assert.deepEqual(merged.sort(), [
    ["a", "DISABLE", [{ name: "v1", labels: { version: "v1" } }, { name: "v2" }]],
    ["c", undefined, [{ name: "v3" }]],
    ["d", undefined, [{ name: "v4" }]],
  ]);
});

test("the outline is the same object until something else than endpoints and pods changes", () => {
  const builder = createSnapshotBuilder("cluster.local");
  const leadsTo = ["192.0.2.1"];
  const outlineWith = (more: string, remote: string) =>
    builder.build({
      ...setOf([...objects, ...objectsOf(more)]),
      remotes: [{ cluster: "west", objects: objectsOf(remote) }],
      addresses: new Map([["gateway.example.com", leadsTo]]),
    }).outline;
  const outline = outlineWith("", "");
  const other = { ...web, name: "web-1" };
  assert.equal(outlineWith(pod(other), ""), outline);
  assert.equal(outlineWith(endpoint("web", other, { http: 1 }), pod(web) + endpoint("web", web, { http: 1 })), outline);
  const changed = outlineWith(service({ name: "other", ports: { http: 80 } }), "");
  assert.notEqual(changed, outline);
  const there = outlineWith("", service({ name: "there", ports: { http: 80 } }));
  assert.deepEqual(
    there.services.map(({ name }) => name),
    ["db", "web", "there"],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { istio, pod, service } from "../../test/support/manifests.ts";
import { meshOf, proxyOf } from "../../test/support/mesh.ts";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TYPE_URL } from "../xds/resource-set.ts";
import { selectOutboundScope } from "./scope.ts";
import { createTranslator } from "./translator.ts";

const http = [{ redirect: { uri: "/" } }];
const routing = (name: string, hosts: string[], more: object = {}, namespace = "shop") =>
  istio("VirtualService", name, { hosts, http, ...more }, namespace);
const rule = (name: string, host: string, more: object = {}, namespace = "shop") =>
  istio("DestinationRule", name, { host, ...more }, namespace);
const services = [
  service({ name: "web", ports: { http: 80 } }),
  service({ name: "db", namespace: "data", ports: { tcp: 5432 } }),
].join("");

/** What callers in namespace `shop` see: the VirtualService and rule of each service, and hosts beyond services. */
function seen(...manifests: string[]) {
  const scope = selectOutboundScope(meshOf(services + manifests.join("")), "shop");
  const byName = Object.fromEntries(
    scope.services.map(({ service, virtualService, rule }) => [
      service.name,
      { routes: virtualService?.metadata.name ?? null, rule: rule?.metadata.name ?? null },
    ]),
  );
  const hosts = scope.extraHosts.map(({ host, virtualService }) => `${host} by ${virtualService.metadata.name}`);
  return { ...byName, hosts };
}

const DB = "db.data.svc.cluster.local";
const none = { routes: null, rule: null };

const rows: [name: string, manifests: string[], expected: object][] = [
  ["services without anything", [], { web: none, db: none, hosts: [] }],
  [
    "a VirtualService by a short name is for its own namespace's service",
    [routing("a", ["web", "db"])],
    { web: { ...none, routes: "a" }, db: none, hosts: ["db.shop.svc.cluster.local by a"] },
  ],
  [
    "the first VirtualService of one age has the host",
    [routing("b", ["web"]), routing("a", ["web"])],
    { web: { ...none, routes: "a" }, db: none, hosts: [] },
  ],
  [
    "a whole name comes before a wildcard, and a longer wildcard before a shorter",
    [routing("all", ["*.cluster.local"]), routing("shop", ["*.shop.svc.cluster.local"]), routing("db", [DB])],
    {
      web: { ...none, routes: "shop" },
      db: { ...none, routes: "db" },
      hosts: [`${DB} by db`, "*.shop.svc.cluster.local by shop", "*.cluster.local by all"],
    },
  ],
  [
    "a VirtualService for gateways alone",
    [routing("a", ["web"], { gateways: ["edge"] })],
    { web: none, db: none, hosts: [] },
  ],
  [
    "a VirtualService for gateways and sidecars, or for nothing said",
    [routing("a", ["web"], { gateways: ["edge", "mesh"] }), routing("b", [DB], { gateways: [] })],
    { web: { ...none, routes: "a" }, db: { ...none, routes: "b" }, hosts: [`${DB} by b`] },
  ],
  ["a VirtualService without hosts", [routing("a", [])], { web: none, db: none, hosts: [] }],
  [
    "a VirtualService that is kept to its own namespace",
    [routing("a", [DB], { exportTo: ["."] }, "data"), routing("b", ["web"], { exportTo: ["."] })],
    { web: { ...none, routes: "b" }, db: none, hosts: [] },
  ],
  [
    "the caller's rule comes before the service's, and that before the root namespace's",
    [
      rule("root", DB, {}, "trysail-system"),
      rule("theirs", "db", {}, "data"),
      rule("ours", "*.data.svc.cluster.local"),
    ],
    { web: none, db: { ...none, rule: "ours" }, hosts: [] },
  ],
  [
    "the service's rule comes before the root namespace's",
    [rule("root", DB, {}, "trysail-system"), rule("theirs", "*", {}, "data")],
    { web: none, db: { ...none, rule: "theirs" }, hosts: [] },
  ],
  [
    "the root namespace's rule holds where there is no other",
    [rule("root", "*.cluster.local", {}, "trysail-system")],
    { web: { ...none, rule: "root" }, db: { ...none, rule: "root" }, hosts: [] },
  ],
  [
    "the rule of a namespace that has nothing to do with it",
    [rule("a", DB, {}, "edge")],
    { web: none, db: none, hosts: [] },
  ],
  [
    "a rule that is kept to its own namespace",
    [rule("a", "db", { exportTo: ["."] }, "data")],
    { web: none, db: none, hosts: [] },
  ],
  [
    "in one namespace the more specific rule holds",
    [rule("a", "*.cluster.local"), rule("b", "*.shop.svc.cluster.local"), rule("c", "web")],
    { web: { ...none, rule: "c" }, db: { ...none, rule: "a" }, hosts: [] },
  ],
];

for (const [name, manifests, expected] of rows) {
  test(name, () => assert.deepEqual(seen(...manifests), expected));
}

test("a service that is exported elsewhere is not in sight", () => {
  const hidden = service({ name: "hidden", namespace: "data", ports: {} }).replace(
    '"metadata":{',
    '"metadata":{"annotations":{"networking.istio.io/exportTo":"."},',
  );
  const mesh = meshOf(services + hidden);
  const namesFrom = (namespace: string) =>
    selectOutboundScope(mesh, namespace).services.map(({ service }) => service.name);
  assert.deepEqual(namesFrom("shop"), ["db", "web"]);
  assert.deepEqual(namesFrom("data"), ["db", "hidden", "web"]);
});

test("a rule that selects callers is for them alone, and goes before their namespace's others", () => {
  const rule = (name: string, spec: object, namespace = "shop") =>
    istio("DestinationRule", name, { host: "cart.shop.svc.cluster.local", ...spec }, namespace);
  const timeout = (connectTimeout: string) => ({ trafficPolicy: { connectionPool: { tcp: { connectTimeout } } } });
  const mesh = meshOf(
    [
      service({ name: "cart", ports: { http: 80 } }),
      pod({ name: "gold", ip: "10.1.0.1", labels: { tier: "gold", app: "a" } }),
      pod({ name: "tin", ip: "10.1.0.2", labels: { tier: "tin" } }),
      rule("general", timeout("1s")),
      rule("gold", { ...timeout("2s"), workloadSelector: { matchLabels: { tier: "gold" } } }),
      rule("theirs", { ...timeout("3s"), workloadSelector: { matchLabels: { tier: "tin" } } }, "edge"),
    ].join(""),
  );
  const translator = createTranslator(mesh);
  const secondsFor = (proxy: string) => {
    const found = translator.translate(proxyOf(mesh, proxy)).get(TYPE_URL.cluster)?.byName;
    const bytes = found?.get("outbound|80||cart.shop.svc.cluster.local")?.bytes;
    assert.ok(bytes !== undefined);
    return Number(fromBinary(ClusterSchema, bytes).connectTimeout?.seconds);
  };
  assert.equal(secondsFor("gold.shop"), 2);
  assert.equal(secondsFor("tin.shop"), 1);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { document, endpoint, istio, meshConfig, pod, service } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import type { RemoteObjects } from "./object-set.ts";
import { buildRemoteService } from "./remote-clusters.ts";
import { createSnapshotBuilder, type MeshSnapshot } from "./snapshot.ts";

const HOST = "web.shop.svc.cluster.local";
const namespace = (name: string, network: string) =>
  document({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { "topology.istio.io/network": network } },
  });
const webAt = (name: string, ip: string, serviceAccount = "web", labels = {}) =>
  pod({ name, ip, serviceAccount, labels: { app: "web", ...labels }, tls: true }) +
  endpoint("web", { name, ip }, { http: 8080 });
const web = service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.0.9" });
const remote = (cluster: string, ...yaml: string[]): RemoteObjects => ({ cluster, objects: objectsOf(yaml.join("")) });

function build(local: string, ...remotes: RemoteObjects[]): MeshSnapshot {
  return createSnapshotBuilder("cluster.local").build({ objects: objectsOf(local), findings: [], remotes });
}

function found(mesh: MeshSnapshot, host = HOST) {
  const service = mesh.services.find(({ hostname }) => hostname === host);
  assert.ok(service !== undefined, host);
  return { service, ...mesh.endpointsOf(service) };
}

test("a service has its endpoints in every cluster, under its address in the mesh's own", () => {
  const mesh = build(
    web + webAt("web-0", "10.1.0.1"),
    remote(
      "east",
      service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.7.7" }),
      webAt("web-0", "10.2.0.1", "other"),
    ),
    remote("west", web, webAt("web-0", "10.3.0.1")),
  );
  const { service: joined, endpoints, identities } = found(mesh);
  assert.deepEqual(joined.addresses, ["10.96.0.9"]);
  assert.deepEqual(
    endpoints.map(({ address, ports, tlsCapable }) => [address, ports.http, tlsCapable]),
    ["10.1.0.1", "10.2.0.1", "10.3.0.1"].map((ip) => [ip, 8080, true]),
  );
  assert.deepEqual(identities, ["ns/shop/sa/other", "ns/shop/sa/web"]);
});

test("pods of one name in two clusters are not taken for each other", () => {
  const mesh = build(web + webAt("web-0", "10.1.0.1", "near"), remote("east", web, webAt("web-0", "10.2.0.1", "far")));
  assert.deepEqual(
    found(mesh).endpoints.map(({ address, identity }) => [address, identity]),
    [
      ["10.1.0.1", "ns/shop/sa/near"],
      ["10.2.0.1", "ns/shop/sa/far"],
    ],
  );
});

test("networks may use the same addresses; in one network, an address is the nearer cluster's", () => {
  const twice = build(
    namespace("istio-system", "here") + web + webAt("web-0", "10.1.0.1", "near"),
    remote("east", namespace("istio-system", "there"), web, webAt("web-0", "10.1.0.1", "far")),
  );
  assert.deepEqual(
    found(twice).endpoints.map(({ network, identity }) => [network, identity]),
    [
      ["here", "ns/shop/sa/near"],
      ["there", "ns/shop/sa/far"],
    ],
  );
  const once = build(web + webAt("a", "10.1.0.1", "near"), remote("east", web, webAt("b", "10.1.0.1", "far")));
  assert.deepEqual(
    found(once).endpoints.map(({ identity }) => identity),
    ["ns/shop/sa/near"],
  );
  const second = endpoint("web", { name: "c", ip: "10.1.0.1" }, { http: 8081 });
  const shared = build(web + webAt("a", "10.1.0.1") + second, remote("east", web, webAt("b", "10.1.0.1", "far")));
  assert.deepEqual(
    found(shared).endpoints.map(({ ports }) => ports.http),
    [8080, 8081],
    "all that the nearer cluster has at it",
  );
});

test("a pod's own network goes before its cluster's", () => {
  const mesh = build(
    "",
    remote(
      "east",
      namespace("trysail-system", "there"),
      web,
      webAt("web-0", "10.2.0.1", "web", { "topology.istio.io/network": "cellar" }),
    ),
  );
  assert.deepEqual(
    found(mesh).endpoints.map(({ network }) => network),
    ["cellar"],
  );
});

test("what only another cluster has can be called by addresses that are made up for it", () => {
  const mesh = build("", remote("east", web, webAt("web-0", "10.2.0.1")));
  const { service: far, endpoints } = found(mesh);
  assert.deepEqual(far.addresses, []);
  assert.match(far.autoAddresses.join(), /^240\.240\.\d+\.\d+,2001:2::f0f0:/);
  assert.equal(endpoints[0]?.address, "10.2.0.1");
  assert.equal(endpoints[0]?.locality.region, "");
});

test("endpoints are where the nodes of their own cluster are", () => {
  const node = (region: string) =>
    document({
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name: "one",
        labels: { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": "a" },
      },
    });
  const on = (name: string, ip: string) =>
    document({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name, namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }],
      endpoints: [{ addresses: [ip], nodeName: "one" }],
    });
  const mesh = build(
    web + node("home") + on("web", "10.1.0.1"),
    remote("east", web, node("abroad"), on("web", "10.2.0.1")),
  );
  assert.deepEqual(
    found(mesh).endpoints.map(({ locality }) => locality.region),
    ["home", "abroad"],
  );
});

const settings: readonly [title: string, mesh: string, host: string, isShared: boolean][] = [
  ["by default", "{}", HOST, true],
  ["kept local by name", `serviceSettings: [{settings: {clusterLocal: true}, hosts: [${HOST}]}]`, HOST, false],
  [
    "kept local by namespace",
    "serviceSettings: [{settings: {clusterLocal: true}, hosts: ['*.shop.svc.cluster.local']}]",
    HOST,
    false,
  ],
  [
    "an exception of an exception",
    `serviceSettings: [{settings: {clusterLocal: true}, hosts: ['*']}, {settings: {clusterLocal: false}, hosts: [${HOST}]}]`,
    HOST,
    true,
  ],
  ["of Kubernetes itself", "{}", "dns.kube-system.svc.cluster.local", false],
  [
    "of Kubernetes itself, but wanted",
    "serviceSettings: [{settings: {clusterLocal: false}, hosts: [dns.kube-system.svc.cluster.local]}]",
    "dns.kube-system.svc.cluster.local",
    true,
  ],
];
for (const [title, config, host, isShared] of settings) {
  test(`whether a service is shared among clusters: ${title}`, () => {
    const [name = "", namespace = ""] = host.split(".");
    const own = service({ name, namespace, ports: { http: 80 }, clusterIP: "10.96.0.9" });
    const at = (ip: string) =>
      pod({ name: "p", namespace, ip }) + endpoint(name, { name: "p", namespace, ip }, { http: 1 });
    const mesh = build(meshConfig(config) + own + at("10.1.0.1"), remote("east", own, at("10.2.0.1")));
    assert.deepEqual(
      found(mesh, host).endpoints.map(({ address }) => address),
      isShared ? ["10.1.0.1", "10.2.0.1"] : ["10.1.0.1"],
    );
    const absent = build(meshConfig(config), remote("east", own, at("10.2.0.1")));
    assert.equal(absent.services.length, isShared ? 1 : 0);
  });
}

test("another cluster's aliases stay there", () => {
  const alias = document({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "alias", namespace: "shop" },
    spec: { type: "ExternalName", externalName: "example.com", ports: [{ name: "http", port: 80 }] },
  });
  assert.deepEqual(build("", remote("east", alias)).services, []);
});

test("gateways are Services that say which network they lead into, by the addresses that others can reach", () => {
  const gateway = (name: string, labels: object, ports: number[], addresses: object) =>
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace: "istio-system", labels },
      spec: { clusterIP: "10.96.1.1", ports: ports.map((port) => ({ name: `p${port}`, port })), ...addresses },
      status: { loadBalancer: { ingress: [{ ip: "192.0.2.1" }, { hostname: "lb.example.com" }] } },
    });
  const there = { "topology.istio.io/network": "there" };
  const mesh = build(
    gateway("own", { "topology.istio.io/network": "here", "networking.istio.io/gatewayPort": "443" }, [443], {}),
    remote(
      "east",
      gateway("a", there, [15443], { externalIPs: ["192.0.2.9"] }),
      gateway("b", there, [80], {}),
      gateway("c", {}, [15443], {}),
    ),
  );
  assert.deepEqual(Object.fromEntries(mesh.networkGateways), {
    here: [{ address: "192.0.2.1", port: 443 }],
    there: [
      { address: "192.0.2.1", port: 15443 },
      { address: "192.0.2.9", port: 15443 },
    ],
  });
});

test("what does not change keeps its identity, and a cluster that leaves leaves nothing", () => {
  const builder = createSnapshotBuilder("cluster.local");
  const objects = objectsOf(web + webAt("web-0", "10.1.0.1"));
  const alone = builder.build({ objects, findings: [] });
  const east = remote("east", web, webAt("web-0", "10.2.0.1"));
  const both = builder.build({ objects, findings: [], remotes: [east] });
  const more = objectsOf(pod({ name: "bystander", ip: "10.2.0.8" }));
  const later = builder.build({ objects, findings: [], remotes: [{ ...east, objects: [...east.objects, ...more] }] });
  const part = (mesh: MeshSnapshot) => mesh.endpointsOf(found(mesh).service);
  assert.equal(part(later), part(both));
  const left = builder.build({ objects, findings: [] });
  assert.equal(part(left), part(alone));
});

test("namespaces that the mesh does not discover are left out in other clusters too, by the labels they have there", () => {
  const labelled = (name: string, meshed: string) =>
    document({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { meshed } } });
  const selectors = meshConfig("discoverySelectors: [{matchLabels: {meshed: 'yes'}}]");
  const own = service({ name: "till", ports: { http: 80 }, clusterIP: "10.96.0.8" });
  const mesh = build(
    selectors + labelled("shop", "yes") + own,
    remote("east", labelled("shop", "no"), web, webAt("web-0", "10.2.0.1"), own, webAt("till-0", "10.2.0.2")),
    remote("west", labelled("shop", "yes"), web, webAt("web-0", "10.3.0.1")),
  );
  assert.deepEqual(
    found(mesh).endpoints.map(({ address }) => address),
    ["10.3.0.1"],
  );
  const undiscovered = build(selectors, remote("east", labelled("shop", "no"), web, webAt("web-0", "10.2.0.1")));
  assert.deepEqual(undiscovered.services, []);
});

test("a ServiceEntry of another namespace cannot take the name of a service that only another cluster has", () => {
  const taker = istio("ServiceEntry", "taker", { hosts: [HOST], resolution: "DNS", ports: [] }, "thief");
  const mesh = build(taker, remote("east", web, webAt("web-0", "10.2.0.1")));
  assert.equal(found(mesh).service.kind, "Service");
});

test("nodes of two clusters that have one name are not taken for each other", () => {
  const local = service({ name: "web", ports: { http: 80 }, spec: { internalTrafficPolicy: "Local" } });
  const on = (ip: string) =>
    document({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "web", namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }],
      endpoints: [{ addresses: [ip], nodeName: "node-1" }],
    });
  const mesh = build(local + on("10.1.0.1"), remote("east", local, on("10.2.0.1")));
  assert.deepEqual(
    found(mesh).endpoints.map(({ nodeName }) => nodeName),
    ["node-1", ""],
  );
});

test("a gateway must name its network: an empty one is that of everybody who names none", () => {
  const nameless = document({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "gateway", namespace: "istio-system", labels: { "topology.istio.io/network": "" } },
    spec: { clusterIP: "10.96.1.1", ports: [{ name: "tls", port: 15443 }], externalIPs: ["192.0.2.1"] },
  });
  assert.equal(build("", remote("east", nameless)).networkGateways.size, 0);
});

test("a service for which no made-up address is left has none", () => {
  const [object] = objectsOf(web);
  assert.ok(object?.kind === "Service");
  assert.deepEqual(buildRemoteService(object, "cluster.local", "")?.autoAddresses, []);
});

test("a ServiceEntry has the pods that it selects in every cluster, of its own namespace", () => {
  const entry = istio("ServiceEntry", "jobs", {
    hosts: ["jobs.example.com"],
    location: "MESH_INTERNAL",
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    workloadSelector: { labels: { app: "job" } },
  });
  const job = (name: string, ip: string, namespace = "shop") =>
    pod({ name, ip, namespace, labels: { app: "job" }, serviceAccount: name, tls: true });
  const mesh = build(
    entry + job("near", "10.1.0.1"),
    remote("east", job("far", "10.2.0.1"), job("other", "10.2.0.2", "bank"), pod({ name: "web", ip: "10.2.0.3" })),
  );
  const { endpoints, identities } = found(mesh, "jobs.example.com");
  assert.deepEqual(
    endpoints.map(({ address, cluster }) => [address, cluster]),
    [
      ["10.1.0.1", "Kubernetes"],
      ["10.2.0.1", "east"],
    ],
  );
  assert.deepEqual(identities, ["ns/shop/sa/far", "ns/shop/sa/near"]);
});

test("WorkloadEntries of another cluster are endpoints of what selects them, as far as their addresses mean the same here", () => {
  const machine = (name: string, spec: object, place = "shop") =>
    istio("WorkloadEntry", name, { labels: { app: "web" }, serviceAccount: name, ...spec }, place);
  const selecting = service({
    name: "web",
    ports: { http: 80 },
    clusterIP: "10.96.0.9",
    spec: { selector: { app: "web" } },
  });
  const mesh = build(
    selecting + machine("near", { address: "192.0.2.1" }),
    remote(
      "east",
      namespace("istio-system", "there"),
      selecting,
      machine("far", { address: "192.0.2.2", ports: { http: 8081 } }),
      machine("elsewhere", { address: "192.0.2.3", network: "cellar" }),
      machine("labelled", { address: "192.0.2.4", labels: { app: "web", "topology.istio.io/network": "attic" } }),
      machine("behind", { network: "cellar" }),
      machine("named", { address: "vm.example.com" }),
      machine("socket", { address: "unix:///run/docker.sock" }),
      machine("other", { address: "192.0.2.5", labels: { app: "till" } }),
      machine("stranger", { address: "192.0.2.6" }, "bank"),
    ),
  );
  const { endpoints, identities } = found(mesh);
  assert.deepEqual(
    endpoints.map(({ address, network, cluster, ports, tlsCapable }) => [address, network, cluster, ports, tlsCapable]),
    [
      ["", "cellar", "east", {}, true],
      ["192.0.2.1", "", "Kubernetes", {}, true],
      ["192.0.2.2", "there", "east", { http: 8081 }, true],
      ["192.0.2.3", "cellar", "east", {}, true],
      ["192.0.2.4", "attic", "east", {}, true],
    ],
  );
  assert.deepEqual(
    identities,
    ["behind", "elsewhere", "far", "labelled", "near"].map((name) => `ns/shop/sa/${name}`),
  );
});

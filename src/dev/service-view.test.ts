import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "../mesh/kubernetes/core.ts";
import { allocateClusterIps } from "./cluster-ips.ts";
import { buildEndpointSlices, type EndpointPod } from "./endpoint-slices.ts";
import { buildForwardingRules } from "./forwarding-rules.ts";
import { buildNameTable } from "./name-answers.ts";
import { buildServiceViews, type ServiceView } from "./service-view.ts";

function service(name: string, spec: Service["spec"]): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "shop", labels: {}, annotations: {} },
    spec,
  };
}

function pod(name: string, ip: string, fields: Partial<EndpointPod> = {}): EndpointPod {
  const namedPorts = new Map([["http", 8000]]);
  return {
    name,
    namespace: "shop",
    uid: `uid-${name}`,
    ip,
    labels: { app: "web" },
    ready: true,
    terminating: false,
    namedPorts,
    ...fields,
  };
}

const web = service("web", { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: "http" }] });

function viewsOf(services: Service[], pods: EndpointPod[]): ServiceView[] {
  const slices = services.flatMap((each) => buildEndpointSlices(each, pods, "node"));
  return buildServiceViews(services, slices, allocateClusterIps(services));
}

test("a slice holds the selected pods of its namespace with their conditions", () => {
  const pods = [
    pod("b", "10.88.0.11", { ready: false }),
    pod("a", "10.88.0.10"),
    pod("c", "10.88.0.12", { terminating: true }),
    pod("d", "10.88.0.13", { labels: { app: "other" } }),
    pod("e", "10.88.0.14", { namespace: "elsewhere" }),
  ];
  const slices = buildEndpointSlices(web, pods, "node");
  assert.equal(slices.length, 1);
  assert.deepEqual(slices[0]?.ports, [{ name: "http", port: 8000, protocol: "TCP" }]);
  assert.deepEqual(
    slices[0]?.endpoints.map(({ addresses, conditions }) => [
      addresses[0],
      conditions.ready,
      conditions.serving,
      conditions.terminating,
    ]),
    [
      ["10.88.0.10", true, true, false],
      ["10.88.0.11", false, false, false],
      ["10.88.0.12", false, true, true],
    ],
  );
});

test("pods whose named port has another number are in a slice of their own, the same order whatever came first", () => {
  const pods = [pod("a", "10.88.0.10"), pod("b", "10.88.0.11", { namedPorts: new Map([["http", 9000]]) })];
  const slices = buildEndpointSlices(web, pods, "node");
  assert.deepEqual(slices.map(({ ports }) => ports[0]?.port).sort(), [8000, 9000]);
  assert.deepEqual(buildEndpointSlices(web, [...pods].reverse(), "node"), slices);
});

test("publishNotReadyAddresses makes every endpoint ready", () => {
  const eager = service("web", { ...web.spec, publishNotReadyAddresses: true });
  const slices = buildEndpointSlices(eager, [pod("a", "10.88.0.10", { ready: false })], "node");
  assert.equal(slices[0]?.endpoints[0]?.conditions.ready, true);
});

test("a Service without a selector has no slices of the runner's", () => {
  assert.deepEqual(
    buildEndpointSlices(service("outside", { ports: [{ port: 80 }] }), [pod("a", "10.88.0.10")], "node"),
    [],
  );
});

test("cluster addresses are kept, else follow from the name, and never collide", () => {
  const own = service("own", { clusterIP: "10.96.0.10", ports: [] });
  const names = Array.from({ length: 2000 }, (_, index) => service(`s${index}`, {}));
  const ips = allocateClusterIps([own, service("headless", { clusterIP: "None" }), ...names]);
  assert.equal(ips.get("shop/own"), "10.96.0.10");
  assert.equal(ips.has("shop/headless"), false);
  assert.equal(new Set(ips.values()).size, 2001);
  assert.equal(allocateClusterIps([service("s7", {})]).get("shop/s7"), ips.get("shop/s7"));
  for (const ip of ips.values()) assert.match(ip, /^10\.(9[6-9]|10\d|11[01])\.\d+\.\d+$/);
});

test("a cluster address is forwarded to ready endpoints alone, each as likely", () => {
  const pods = [pod("a", "10.88.0.10"), pod("b", "10.88.0.11"), pod("c", "10.88.0.12", { ready: false })];
  const rules = buildForwardingRules(viewsOf([web], pods));
  assert.deepEqual(rules.match(/DNAT --to-destination \S+/g), [
    "DNAT --to-destination 10.88.0.10:8000",
    "DNAT --to-destination 10.88.0.11:8000",
  ]);
  assert.match(rules, /--probability 0\.5000000000 -j DNAT --to-destination 10\.88\.0\.10:8000/);
  assert.match(rules, /-A POSTROUTING -s 10\.88\.0\.10\/32 -d 10\.88\.0\.10\/32 -j MASQUERADE/);
});

test("a Service without ready endpoints refuses", () => {
  const ip = allocateClusterIps([web]).get("shop/web");
  assert.ok(
    buildForwardingRules(viewsOf([web], [])).includes(`-A MESH-REFUSED -d ${ip}/32 -p tcp -m tcp --dport 80 -j REJECT`),
  );
});

test("names lead to cluster addresses, endpoints of headless Services, pods by host name, and other names", () => {
  const db = service("db", { clusterIP: "None", selector: { app: "db" }, ports: [{ name: "sql", port: 5432 }] });
  const away = service("away", { type: "ExternalName", externalName: "example.test" });
  const pods = [
    pod("db-0", "10.88.0.20", { labels: { app: "db" }, hostname: "db-0", subdomain: "db" }),
    pod("db-1", "10.88.0.21", { labels: { app: "db" }, hostname: "db-1", subdomain: "db", ready: false }),
  ];
  const table = buildNameTable(viewsOf([web, db, away], pods), "cluster.local");
  const data = (name: string, type: "A" | "AAAA" | "SRV" = "A") =>
    table.answer({ name, type })?.map((answer) => ("data" in answer ? answer.data : undefined));
  assert.deepEqual(data("web.shop.svc.cluster.local"), [allocateClusterIps([web]).get("shop/web")]);
  assert.deepEqual(data("WEB.shop.svc.cluster.local."), [allocateClusterIps([web]).get("shop/web")]);
  assert.deepEqual(data("web.shop.svc.cluster.local", "AAAA"), []);
  assert.deepEqual(data("db.shop.svc.cluster.local"), ["10.88.0.20"]);
  assert.deepEqual(data("db-0.db.shop.svc.cluster.local"), ["10.88.0.20"]);
  assert.equal(data("db-1.db.shop.svc.cluster.local"), undefined);
  assert.deepEqual(data("away.shop.svc.cluster.local"), ["example.test"]);
  assert.deepEqual(data("_sql._tcp.db.shop.svc.cluster.local", "SRV"), [
    { target: "db-0.db.shop.svc.cluster.local", port: 5432 },
  ]);
  assert.equal(data("web.cluster.local"), undefined);
  assert.equal(data("example.org"), undefined);
});

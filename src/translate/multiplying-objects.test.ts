import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { istio, pod, service } from "../../test/support/manifests.ts";
import { objectsOf, resourcesFor, setOf } from "../../test/support/mesh.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { analyzeReferences } from "../mesh/analyze.ts";
import { createSnapshotBuilder } from "../mesh/snapshot.ts";
import { TYPE_URL } from "../xds/resource-set.ts";

/** Objects of a few kilobytes that ask for more than a control plane has memory: what is left of them, and what is told. */

const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));
const to = (name: string) => [{ destination: { host: `${name}.shop.svc.cluster.local` } }];
const caller = pod({ name: "caller", ip: "10.0.0.9" });
const web = (index: number) => service({ name: `web${index}`, ports: { http: 80 }, clusterIP: `10.96.0.${index + 1}` });

function translated(manifests: string, type: "sidecar" | "router" = "sidecar") {
  const objects = objectsOf(caller + manifests);
  const resources = resourcesFor(createSnapshotBuilder("cluster.local").build(setOf(objects)), "caller.shop", {}, type);
  const named = (typeUrl: typeof TYPE_URL.route) => [...(resources.get(typeUrl)?.byName.values() ?? [])];
  const routes = named(TYPE_URL.route).flatMap(({ name, bytes }) =>
    fromBinary(RouteConfigurationSchema, bytes).virtualHosts.map((host) => [
      `${name} ${host.name}`,
      host.routes.length,
    ]),
  );
  const told = analyzeReferences(objects).flatMap(({ code, object, field, message }) =>
    code === "value-invalid" ? [`${object?.kind} ${object?.name} ${field}: ${message}`] : [],
  );
  return { resources, routes: Object.fromEntries(routes), told };
}

const manyRoutes = { http: [{ match: times(20_000, (at) => ({ uri: { exact: `/${at}` } })), route: to("web0") }] };

test("a wildcard routes for as many services as there is room for, and the others go without", () => {
  const wild = istio("VirtualService", "wild", { hosts: ["*.cluster.local"], ...manyRoutes });
  const { routes, told } = translated([...times(4, web), wild].join(""));
  assert.deepEqual(
    times(4, (index) => routes[`80 web${index}.shop.svc.cluster.local:80`]),
    [20_000, 20_000, 1, 1],
  );
  assert.equal(told.length, 1);
  assert.match(
    told[0] ?? "",
    /^VirtualService wild spec\.hosts\[0\]: .* is \*\.cluster\.local: .*4 ports, and 20000 routes/,
  );
});

test("so it is at the servers of a gateway", () => {
  const servers = times(3, (at) => ({
    port: { number: 8000 + at, name: `http-${at}`, protocol: "HTTP" },
    hosts: ["*"],
  }));
  const gateway = istio("Gateway", "edge", { selector: {}, servers });
  const routing = istio("VirtualService", "wild", { hosts: ["a.test"], gateways: ["edge"], ...manyRoutes });
  const { routes } = translated(web(0) + gateway + routing, "router");
  assert.deepEqual(routes, { "http.8000 a.test:8000": 20_000, "http.8001 a.test:8001": 20_000 });
});

test("connections to a port are routed as long as there is room", () => {
  const tcp = [{ match: times(30_000, (at) => ({ port: at + 1 })), route: to("db") }];
  const db = service({ name: "db", ports: { "tcp-a": 1, "tcp-b": 2 }, clusterIP: "10.96.1.1" });
  const { resources, told } = translated(db + istio("VirtualService", "db", { hosts: ["db"], tcp }));
  const routed = ["10.96.1.1_1", "10.96.1.1_2"].map((name) => {
    const bytes = resources.get(TYPE_URL.listener)?.byName.get(name)?.bytes ?? new Uint8Array();
    return Buffer.from(bytes).includes("/virtual-service/db");
  });
  assert.deepEqual(routed, [true, false]);
  assert.match(told.join(), /VirtualService db spec\.hosts\[0\]: .*2 ports, and 30000 routes/);
});

test("a wildcard's subsets are known of as many services as there is room for", () => {
  const subsets = times(4000, (at) => ({ name: `s${at}`, labels: { version: `${at}` } }));
  const rule = istio("DestinationRule", "wild", { host: "*.cluster.local", subsets });
  const { resources, told } = translated([...times(4, web), rule].join(""));
  const clusters = [...(resources.get(TYPE_URL.cluster)?.byName.keys() ?? [])];
  assert.deepEqual(
    times(4, (index) => clusters.filter((name) => name.endsWith(`|web${index}.shop.svc.cluster.local`)).length),
    [4001, 4001, 1, 1],
  );
  assert.equal(told.length, 1);
  assert.match(
    told[0] ?? "",
    /^DestinationRule wild spec\.subsets: .*are 4000, .*4 ports: more than the 10000 clusters/,
  );
});

test("of a Service's ports the first thousand are known", () => {
  const ports = Object.fromEntries(times(1001, (at) => [`tcp-${at}`, at + 1]));
  const { resources, told } = translated(service({ name: "many", ports, clusterIP: "10.96.1.1" }));
  const listeners = [...(resources.get(TYPE_URL.listener)?.byName.keys() ?? [])];
  assert.equal(listeners.filter((name) => name.startsWith("10.96.1.1_")).length, 1000);
  assert.ok(!listeners.includes("10.96.1.1_1001"));
  assert.deepEqual(told, [
    "Service many spec.ports: Service shop/many: spec.ports are 1001 of TCP, of which the mesh knows the first 1000: use several Services",
  ]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, istio, pod, service } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, resourcesFor } from "../../test/support/mesh.ts";
import type { ProxyNode } from "../xds/node.ts";
import { TYPE_URL, type TypeUrl } from "../xds/resource-set.ts";
import { blameRefusals } from "./blame.ts";

const proxy: ProxyNode = {
  ...{ id: "sidecar~10.0.0.1~api-0.shop~shop.svc.cluster.local", type: "sidecar" },
  ...{ name: "api-0", namespace: "shop", ipAddress: "10.0.0.1", labels: {}, metadata: {} },
};

const around =
  pod({ name: "api-0", ip: "10.0.0.1", labels: { app: "api" } }) +
  service({ name: "api", ports: { http: 80, tcp: 81 } }) +
  endpoint("api", { name: "api-0", ip: "10.0.0.1" }, { http: 80, tcp: 81 });

function resource(yaml: string, typeUrl: TypeUrl, name: string) {
  const found = resourcesFor(meshOf(yaml), "api-0.shop").get(typeUrl)?.byName.get(name);
  assert.ok(found !== undefined, `no ${name}`);
  return found;
}

/** `KIND NAMESPACE/NAME` of those who are blamed where a proxy has what `before` makes and refuses what `now` does. */
function blamed(typeUrl: TypeUrl, name: string, now: string, before: string | null): string[] {
  const refused = resource(now, typeUrl, name);
  const kept = before === null ? null : resource(before, typeUrl, name);
  const refusals = [{ typeUrl, refused, kept, isNamed: true, message: "no" }];
  const objects = objectsOf(now);
  const found = blameRefusals([{ proxy, connectedSinceMs: 0, behindSinceMs: null, refusals }], objects);
  return objects
    .filter((object) => found.of(object) !== undefined)
    .map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
}

const peers = (name: string, spec: object, namespace = "shop") => istio("PeerAuthentication", name, spec, namespace);

test("a refused inbound listener is the PeerAuthentication's by which its ports are reached as they are", () => {
  const root = (mode: string) => peers("all", { mtls: { mode } }, "istio-system");
  const own = (mode: string) =>
    peers("own", { selector: { matchLabels: { app: "api" } }, portLevelMtls: { 80: { mode } } });
  const listener = (now: string, before: string | null) =>
    blamed(TYPE_URL.listener, "virtualInbound", around + now, before === null ? null : around + before);
  assert.deepEqual(listener(root("STRICT"), ""), ["PeerAuthentication istio-system/all"]);
  assert.deepEqual(listener(root("STRICT") + own("DISABLE"), root("STRICT") + own("STRICT")), [
    "PeerAuthentication shop/own",
  ]);
  assert.deepEqual(listener(root("STRICT") + own("STRICT"), root("DISABLE") + own("STRICT")), [
    "PeerAuthentication istio-system/all",
  ]);
  assert.deepEqual(listener(root("STRICT") + own("STRICT"), null), [
    "PeerAuthentication istio-system/all",
    "PeerAuthentication shop/own",
  ]);
});

test("what a Sidecar opens, and how its ports are called, is the Sidecar's", () => {
  const sidecar = (spec: object) => around + istio("Sidecar", "own", spec);
  const egress = (bind: string) =>
    sidecar({
      egress: [{ port: { number: 80, protocol: "HTTP", name: "http" }, captureMode: "NONE", bind, hosts: ["./*"] }],
    });
  const ingress = (more: object) =>
    sidecar({ ingress: [{ port: { number: 9000, protocol: "TCP", name: "tcp" }, ...more }] });
  const own = ["Sidecar shop/own"];
  assert.deepEqual(blamed(TYPE_URL.listener, "10.1.1.1_80", egress("10.1.1.1"), null), own);
  const [loopback, pooled] = [
    ingress({ defaultEndpoint: "127.0.0.1:9001" }),
    ingress({ connectionPool: { tcp: { maxConnections: 7 } } }),
  ];
  assert.deepEqual(blamed(TYPE_URL.cluster, "inbound|9000||", loopback, null), own);
  assert.deepEqual(blamed(TYPE_URL.cluster, "inbound|9000||", pooled, loopback), own);
  assert.deepEqual(blamed(TYPE_URL.listener, "virtualInbound", loopback, around), own);
  const bound = ingress({ captureMode: "NONE", bind: "10.1.1.1" });
  assert.deepEqual(blamed(TYPE_URL.listener, "10.1.1.1_9000", bound, null), own);
});

const entry = (name: string, host: string, address: string, namespace = "shop") =>
  istio(
    "ServiceEntry",
    name,
    {
      hosts: [host],
      ports: [
        { number: 80, name: "http", protocol: "HTTP" },
        { number: 443, name: "tls", protocol: "TLS" },
      ],
      resolution: "STATIC",
      endpoints: [{ address }],
    },
    namespace,
  );
const entries = (address: string) => around + entry("one", "one.test", address) + entry("two", "Two.test", "10.2.2.2");
const timeout = (time: string) =>
  istio("VirtualService", "slow", {
    hosts: ["one.test"],
    http: [{ match: [{ uri: { prefix: "/a" } }], timeout: time, route: [{ destination: { host: "one.test" } }] }],
  });

test("what a host has of a ServiceEntry is the entry's: its clusters, endpoints, routes and connections", () => {
  const one = ["ServiceEntry shop/one"];
  const name = "outbound|80||one.test";
  assert.deepEqual(blamed(TYPE_URL.cluster, name, entries("10.1.1.1"), null), one);
  assert.deepEqual(blamed(TYPE_URL.endpoint, name, entries("10.1.1.9"), entries("10.1.1.1")), one);
  const two = around + entry("two", "Two.test", "10.2.2.2");
  for (const [typeUrl, resource] of [
    [TYPE_URL.route, "80"],
    [TYPE_URL.listener, "0.0.0.0_443"],
  ] as const) {
    assert.deepEqual(blamed(typeUrl, resource, entries("10.1.1.1"), two), one);
    assert.deepEqual(blamed(typeUrl, resource, entries("10.1.1.1"), null), [...one, "ServiceEntry shop/two"]);
  }
});

test("an entry's routes are not those that a VirtualService brings, and entries that the proxy does not see make nothing", () => {
  const elsewhere = entry("other", "one.test", "10.3.3.3", "data").replace('"hosts"', '"exportTo":["."],"hosts"');
  const now = entries("10.1.1.1") + elsewhere + timeout("2s");
  assert.deepEqual(blamed(TYPE_URL.route, "80", now, entries("10.1.1.1") + elsewhere + timeout("1s")), [
    "VirtualService shop/slow",
  ]);
  assert.deepEqual(blamed(TYPE_URL.cluster, "outbound|80||one.test", now, null), ["ServiceEntry shop/one"]);
});

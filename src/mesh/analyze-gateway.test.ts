import assert from "node:assert/strict";
import { test } from "node:test";
import { document, istio, pod, service } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { analyzeReferences } from "./analyze.ts";

const edge = pod({ name: "edge-0", namespace: "ingress", ip: "10.1.0.1", labels: { istio: "ingress" } });
const secret = (name: string, namespace: string) =>
  document({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, data: {} });
const gateway = (selector: object | undefined, ...tls: object[]) =>
  istio("Gateway", "public", {
    ...(selector && { selector }),
    servers: [
      { port: { number: 80, protocol: "HTTP" }, hosts: ["*"] },
      ...tls.map((tls, index) => ({ port: { number: 443, protocol: "HTTPS" }, hosts: [`${index}.test`], tls })),
    ],
  });

function messagesOf(...manifests: string[]): string[] {
  const found = analyzeReferences(objectsOf(service({ name: "cart", ports: { http: 80 } }) + manifests.join("")));
  return found.map(({ severity, message }) => `${severity} ${message}`);
}

test("a Gateway that selects nobody is told so", () => {
  assert.deepEqual(messagesOf(edge, gateway({ istio: "ingress" })), []);
  assert.deepEqual(messagesOf(edge, gateway(undefined)), []);
  const [found = "", ...more] = messagesOf(edge, gateway({ istio: "egress" }));
  assert.deepEqual(more, []);
  assert.match(
    found,
    /^warning Gateway shop\/public: spec\.selector selects istio=egress, but no workload in the mesh has/,
  );
});

test("Secrets are looked for beside the pods that are selected", () => {
  const tls = [
    { mode: "SIMPLE", credentialName: "one" },
    { mode: "MUTUAL", credentialNames: ["two", "three"], caCertCredentialName: "trust" },
  ];
  const found = messagesOf(
    edge,
    secret("one", "ingress"),
    secret("two", "shop"),
    secret("three", "ingress"),
    gateway({ istio: "ingress" }, ...tls),
  );
  assert.deepEqual(
    found.map((text) => /(\S+) names Secret (\S+),/.exec(text)?.slice(1)),
    [
      ["spec.servers[2].tls.credentialNames[0]", "ingress/two"],
      ["spec.servers[2].tls.caCertCredentialName", "ingress/trust"],
    ],
  );
  const [everybody = ""] = messagesOf(edge, gateway(undefined, { mode: "SIMPLE", credentialName: "one" }));
  assert.match(everybody, /spec\.selector is empty, so every gateway listens, and none is given the Secrets/);
});

test("a Gateway that is named and not there is told, and what two VirtualServices share at one", () => {
  const routes = (name: string, gateways: string[]) =>
    istio("VirtualService", name, {
      hosts: ["shop.test"],
      gateways,
      http: [{ route: [{ destination: { host: "cart" } }] }],
    });
  const [missing = "", ...more] = messagesOf(routes("a", ["nowhere", "mesh"]));
  assert.deepEqual(more, []);
  assert.match(
    missing,
    /^warning VirtualService shop\/a: spec\.gateways\[0\] names Gateway shop\/nowhere, but there is none/,
  );
  const shared = messagesOf(
    edge,
    gateway({ istio: "ingress" }),
    routes("a", ["public"]),
    routes("b", ["shop/public", "mesh"]),
  );
  assert.deepEqual(
    shared.map((text) =>
      /(VirtualService shop\/.): (\S+) is .*?(Gateway \S+) takes the routes of both/.exec(text)?.slice(1),
    ),
    [
      ["VirtualService shop/a", "spec.hosts[0]", "Gateway shop/public"],
      ["VirtualService shop/b", "spec.hosts[0]", "Gateway shop/public"],
    ],
  );
});

/** A Gateway of a day in 2026, with servers of `[port, protocol, hosts, bind]`. */
function dated(name: string, day: number, labels: object, ...servers: [number, string, string[], string?][]): string {
  return document({
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: { name, namespace: "ingress", creationTimestamp: `2026-01-0${day}T00:00:00Z` },
    spec: {
      selector: labels,
      servers: servers.map(([number, protocol, hosts, bind = ""]) => ({
        port: { number, protocol },
        hosts,
        bind,
        ...(protocol === "HTTPS" ? { tls: { mode: "ISTIO_MUTUAL" } } : {}),
        ...(protocol === "TLS" ? { tls: { mode: "PASSTHROUGH" } } : {}),
      })),
    },
  });
}

test("servers that want one port for different things, or one name's TLS, are told at both Gateways", () => {
  const labels = { istio: "ingress" };
  const first = dated("first", 1, labels, [443, "HTTPS", ["a.test", "shop/b.test"]], [80, "TCP", ["*"]]);
  const second = dated("second", 2, labels, [443, "HTTPS", ["B.test", "c.test"]], [80, "HTTP", ["*"], "0.0.0.0"]);
  assert.deepEqual(messagesOf(edge, first, second), [
    "warning Gateway ingress/first: spec.servers[0].hosts has b.test on port 443, as has Gateway ingress/second, which is younger: the other takes no callers by that name",
    "warning Gateway ingress/first: spec.servers[1].port is 80 for TCP, and for HTTP of Gateway ingress/second, which is younger: they cannot share it, so the other is left out",
    "warning Gateway ingress/second: spec.servers[0].hosts has b.test on port 443, as has Gateway ingress/first, which is older and goes first: this server takes no callers by that name",
    "warning Gateway ingress/second: spec.servers[1].port is 80 for HTTP, and for TCP of Gateway ingress/first, which is older and goes first: they cannot share it, so this server is left out",
  ]);
  const own = dated("own", 1, labels, [443, "HTTPS", ["a.test"]], [443, "HTTP", ["*"]], [443, "HTTPS", ["a.test"]]);
  assert.deepEqual(
    messagesOf(edge, own).map((text) => /servers\[\d\]\.\w+ .*/.exec(text)?.[0]),
    [
      "servers[1].port is 443 for HTTP, and for HTTPS of spec.servers[0]: they cannot share it, so this server is left out",
      "servers[2].hosts has a.test on port 443, as has spec.servers[0]: this server takes no callers by that name",
    ],
  );
});

test("Gateways that no workload has both of, that differ in address, or share by name, are in nobody's way", () => {
  const labels = { istio: "ingress" };
  const other = pod({ name: "edge-1", namespace: "ingress", ip: "10.1.0.2", labels: { istio: "egress" } });
  const first = dated("first", 1, labels, [443, "HTTPS", ["a.test"]], [80, "HTTP", ["*"]]);
  assert.deepEqual(messagesOf(edge, other, first, dated("out", 2, { istio: "egress" }, [80, "TCP", ["*"]])), []);
  assert.deepEqual(messagesOf(edge, first, dated("bound", 2, labels, [80, "TCP", ["*"], "10.1.0.1"])), []);
  const shares = dated("more", 2, labels, [443, "HTTPS", ["*.test"]], [443, "TLS", ["a.test"]], [80, "HTTP", ["*"]]);
  assert.deepEqual(messagesOf(edge, first, shares), []);
});

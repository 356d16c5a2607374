import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, pod, service } from "../../test/support/manifests.ts";
import { meshOf } from "../../test/support/mesh.ts";
import type { ServiceEndpoints } from "./service-endpoints.ts";

const HOST = "web.shop.svc.cluster.local";
const web = service({ name: "web", ports: { http: 80 } });

function slice(name: string, body: object): string {
  const metadata = { name, namespace: "shop", labels: { "kubernetes.io/service-name": "web" } };
  const document = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata, addressType: "IPv4", ...body };
  return `---\n${JSON.stringify(document)}\n`;
}

function endpointsOf(...manifests: string[]): ServiceEndpoints {
  const mesh = meshOf(manifests.join(""));
  const found = mesh.services.find(({ hostname }) => hostname === HOST);
  assert.ok(found !== undefined);
  return mesh.endpointsOf(found);
}

const ports = [{ name: "http", port: 8080 }];
const addressesOf = (...manifests: string[]) => endpointsOf(web, ...manifests).endpoints.map(({ address }) => address);

test("an endpoint has what its pod says", () => {
  const one = { name: "web-0", ip: "10.1.0.1", labels: { app: "web" }, serviceAccount: "web", tls: true };
  assert.deepEqual(endpointsOf(web, pod(one), endpoint("web", one, { http: 8080 })), {
    endpoints: [
      {
        address: "10.1.0.1",
        ports: { http: 8080 },
        hasEveryPort: false,
        health: "healthy",
        labels: { app: "web", "security.istio.io/tlsMode": "istio" },
        identity: "ns/shop/sa/web",
        tlsCapable: true,
        namespace: "shop",
        locality: { region: "", zone: "", subZone: "" },
        network: "",
        cluster: "Kubernetes",
        nodeName: "",
        hostname: "",
        forZones: [],
        weight: 0,
      },
    ],
    identities: ["ns/shop/sa/web"],
  });
});

test("a pod is also found by its address, but not one that has its node's", () => {
  const bare = slice("web-a", { ports, endpoints: [{ addresses: ["10.1.0.1"] }] });
  const one = pod({ name: "web-0", ip: "10.1.0.1", serviceAccount: "web" });
  assert.deepEqual(endpointsOf(web, one, bare).identities, ["ns/shop/sa/web"]);
  const ofNode = one.replace('"spec":{', '"spec":{"hostNetwork":true,');
  assert.deepEqual(endpointsOf(web, ofNode, bare).identities, []);
});

test("an address of nobody's pod is served in plaintext, without an identity", () => {
  const [only] = endpointsOf(web, slice("web-a", { ports, endpoints: [{ addresses: ["10.1.0.1"] }] })).endpoints;
  assert.deepEqual([only?.identity, only?.tlsCapable, only?.labels], [undefined, false, {}]);
});

for (const [conditions, health, whenUnreadyToo] of [
  [{}, "healthy", "healthy"],
  [{ ready: null }, "healthy", "healthy"],
  [{ ready: true }, "healthy", "healthy"],
  [{ ready: false }, undefined, "healthy"],
  [{ ready: false, serving: true, terminating: true }, "draining", "draining"],
  [{ ready: false, serving: false, terminating: true }, undefined, undefined],
  [{ terminating: true }, undefined, undefined],
] as const) {
  test(`conditions ${JSON.stringify(conditions)}: ${health ?? "left out"}, else ${whenUnreadyToo ?? "left out"}`, () => {
    const one = slice("web-a", { ports, endpoints: [{ addresses: ["10.1.0.1"], conditions }] });
    assert.equal(endpointsOf(web, one).endpoints[0]?.health, health);
    const eager = web.replace('"spec":{', '"spec":{"publishNotReadyAddresses":true,');
    assert.equal(endpointsOf(eager, one).endpoints[0]?.health, whenUnreadyToo);
  });
}

test("who is not ready may answer all the same, as far as identities go", () => {
  const one = { name: "web-0", ip: "10.1.0.1", serviceAccount: "web" };
  const unready = endpoint("web", one, { http: 1 }).replace('"addresses"', '"conditions":{"ready":false},"addresses"');
  assert.deepEqual(endpointsOf(web, pod(one), unready), { endpoints: [], identities: ["ns/shop/sa/web"] });
});

test("slices are joined by address, in order of address", () => {
  const { endpoints } = endpointsOf(
    web,
    slice("web-b", { ports: [{ name: "admin", port: 9 }], endpoints: [{ addresses: ["10.1.0.2"] }] }),
    slice("web-a", { ports, endpoints: [{ addresses: ["10.1.0.2"] }, { addresses: ["10.1.0.1"] }] }),
  );
  assert.deepEqual(
    endpoints.map(({ address, ports }) => [address, ports]),
    [
      ["10.1.0.1", { http: 8080 }],
      ["10.1.0.2", { admin: 9, http: 8080 }],
    ],
  );
});

test("who has another number for a port is somebody else, as pods in their node's network are", () => {
  const { endpoints } = endpointsOf(
    web,
    slice("web-a", { ports, endpoints: [{ addresses: ["10.1.0.2"] }] }),
    slice("web-b", { ports: [{ name: "http", port: 8081 }], endpoints: [{ addresses: ["10.1.0.2"] }] }),
    slice("web-c", { ports: [{ name: "admin", port: 9 }], endpoints: [{ addresses: ["10.1.0.2"] }] }),
    slice("web-d", { ports: [{ name: "http", port: 8081 }], endpoints: [{ addresses: ["10.1.0.2"] }] }),
  );
  assert.deepEqual(
    endpoints.map(({ address, ports }) => [address, ports]),
    [
      ["10.1.0.2", { http: 8080, admin: 9 }],
      ["10.1.0.2", { http: 8081 }],
    ],
  );
});

test("of several addresses the first counts; what is no address does not", () => {
  assert.deepEqual(addressesOf(slice("a", { ports, endpoints: [{ addresses: ["10.1.0.2", "10.1.0.1"] }] })), [
    "10.1.0.2",
  ]);
  const names = { addressType: "FQDN", ports, endpoints: [{ addresses: ["web.example.com"] }] };
  assert.deepEqual(addressesOf(slice("a", names)), []);
});

test("a port without a number leads nowhere", () => {
  const { endpoints } = endpointsOf(
    web,
    slice("a", { ports: [{ name: "http" }], endpoints: [{ addresses: ["10.1.0.1"] }] }),
  );
  assert.deepEqual(endpoints[0]?.ports, {});
});

test("empty slices, and slices of other services and namespaces, add nothing", () => {
  const other = slice("a", { ports, endpoints: [{ addresses: ["10.1.0.1"] }] });
  assert.deepEqual(
    endpointsOf(
      web,
      slice("empty", { ports: null, endpoints: null }),
      other.replace('"kubernetes.io/service-name":"web"', '"kubernetes.io/service-name":"other"'),
      other.replace('"namespace":"shop"', '"namespace":"edge"'),
    ),
    { endpoints: [], identities: [] },
  );
});

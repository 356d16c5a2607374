import assert from "node:assert/strict";
import { test } from "node:test";
import { objectsOf } from "../../test/support/mesh.ts";
import { buildMeshService, type MeshService } from "./mesh-service.ts";

function meshService(spec: object, annotations: object = {}): MeshService | null {
  const metadata = { name: "web", namespace: "shop", annotations };
  const [object] = objectsOf(JSON.stringify({ apiVersion: "v1", kind: "Service", metadata, spec }));
  assert.ok(object?.kind === "Service");
  return buildMeshService(object, "cluster.local");
}

test("a Service is known by its full name, its addresses and its TCP ports", () => {
  const spec = {
    clusterIPs: ["10.96.0.1", "fd00::1"],
    selector: { app: "web" },
    ports: [
      { name: "http", port: 80, targetPort: "web" },
      { name: "dns", port: 53, protocol: "UDP" },
    ],
  };
  assert.deepEqual(meshService(spec), {
    kind: "Service",
    hostname: "web.shop.svc.cluster.local",
    name: "web",
    namespace: "shop",
    addresses: ["10.96.0.1", "fd00::1"],
    autoAddresses: [],
    ports: [{ number: 80, name: "http", protocol: "http", targetPort: "web" }],
    selector: { app: "web" },
    inlineEndpoints: [],
    resolution: "endpoints",
    isHeadless: false,
    isExternal: false,
    subjectAltNames: [],
    publishNotReadyAddresses: false,
    isNodeLocal: false,
    trafficDistribution: undefined,
    isSticky: false,
    standsFor: null,
    exportTo: undefined,
  });
});

for (const clusterIP of ["None", "", "bogus"]) {
  test(`clusterIP ${JSON.stringify(clusterIP)} is no address`, () => {
    assert.deepEqual(meshService({ clusterIP })?.addresses, []);
  });
}

test("a target port that is not said is the port itself", () => {
  assert.equal(meshService({ ports: [{ port: 80 }] })?.ports[0]?.targetPort, 80);
});

test("an ExternalName leads to its name by DNS, and nowhere without ports", () => {
  const alias = { type: "ExternalName", externalName: "Example.com" };
  assert.equal(meshService(alias), null);
  const found = meshService({ ...alias, ports: [{ name: "http", port: 80 }] });
  assert.deepEqual(
    [found?.resolution, found?.inlineEndpoints, found?.isExternal],
    ["dns", [{ address: "example.com" }], true],
  );
  assert.equal(meshService({ type: "ExternalName", externalName: "a|b", ports: [{ port: 80 }] }), null);
});

test("external addresses are a service's own as well", () => {
  assert.deepEqual(meshService({ clusterIP: "10.96.0.1", externalIPs: ["192.0.2.9", "bogus"] })?.addresses, [
    "10.96.0.1",
    "192.0.2.9",
  ]);
});

test("what a Service says of who is sent where", () => {
  const spec = { internalTrafficPolicy: "Local", trafficDistribution: "PreferClose", sessionAffinity: "ClientIP" };
  const found = meshService({ ...spec, clusterIP: "None" });
  assert.deepEqual(
    [found?.isNodeLocal, found?.trafficDistribution, found?.isSticky, found?.isHeadless],
    [true, "PreferSameZone", true, true],
  );
});

for (const [annotation, exportTo] of [
  ["., edge", [".", "edge"]],
  ["", []],
  ["~", ["~"]],
] as const) {
  test(`annotated with exportTo ${JSON.stringify(annotation)}`, () => {
    assert.deepEqual(meshService({}, { "networking.istio.io/exportTo": annotation })?.exportTo, exportTo);
  });
}

for (const [port, protocol] of [
  [{ name: "http" }, "http"],
  [{ name: "http-web" }, "http"],
  [{ name: "HTTP-Web" }, "http"],
  [{ name: "http2" }, "http2"],
  [{ name: "http2-api" }, "http2"],
  [{ name: "grpc" }, "http2"],
  [{ name: "grpc-api" }, "http2"],
  [{ name: "grpc-web" }, "grpc-web"],
  [{ name: "grpc-web-api" }, "grpc-web"],
  [{ name: "httpd" }, "auto"],
  [{ name: "web-http" }, "auto"],
  [{ name: "https" }, "tls"],
  [{ name: "tcp" }, "tcp"],
  [{ name: "mysql" }, "tcp"],
  [{}, "auto"],
  [{ name: "constructor" }, "auto"],
  [{ appProtocol: "constructor" }, "auto"],
  [{ name: "tcp", appProtocol: "http" }, "http"],
  [{ name: "http", appProtocol: "mystery" }, "auto"],
  [{ appProtocol: "GRPC" }, "http2"],
  [{ appProtocol: "kubernetes.io/h2c" }, "http2"],
  [{ appProtocol: "kubernetes.io/ws" }, "http"],
  [{ appProtocol: "kubernetes.io/wss" }, "tls"],
  [{ appProtocol: "tls-mystery" }, "tls"],
  [{ name: "redis-main" }, "tcp"],
  [{ name: "mongo" }, "tcp"],
  [{ port: 3306 }, "tcp"],
  [{ port: 3306, name: "http" }, "http"],
] as const) {
  test(`a port with ${JSON.stringify(port)} speaks ${protocol}`, () => {
    assert.equal(meshService({ ports: [{ port: 80, ...port }] })?.ports[0]?.protocol, protocol);
  });
}

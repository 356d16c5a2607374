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
    hostname: "web.shop.svc.cluster.local",
    name: "web",
    namespace: "shop",
    addresses: ["10.96.0.1", "fd00::1"],
    ports: [{ number: 80, name: "http", protocol: "http", targetPort: "web" }],
    selector: { app: "web" },
    publishNotReadyAddresses: false,
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

test("an ExternalName leads nowhere", () => {
  assert.equal(meshService({ type: "ExternalName", externalName: "example.com" }), null);
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
  [{ name: "grpc-web" }, "http"],
  [{ name: "grpc-web-api" }, "http"],
  [{ name: "httpd" }, "tcp"],
  [{ name: "web-http" }, "tcp"],
  [{ name: "https" }, "tcp"],
  [{ name: "tcp" }, "tcp"],
  [{ name: "mysql" }, "tcp"],
  [{}, "tcp"],
  [{ name: "constructor" }, "tcp"],
  [{ appProtocol: "constructor" }, "tcp"],
  [{ name: "tcp", appProtocol: "http" }, "http"],
  [{ name: "http", appProtocol: "mystery" }, "tcp"],
  [{ appProtocol: "GRPC" }, "http2"],
  [{ appProtocol: "kubernetes.io/h2c" }, "http2"],
  [{ appProtocol: "kubernetes.io/ws" }, "http"],
] as const) {
  test(`a port with ${JSON.stringify(port)} speaks ${protocol}`, () => {
    assert.equal(meshService({ ports: [{ port: 80, ...port }] })?.ports[0]?.protocol, protocol);
  });
}

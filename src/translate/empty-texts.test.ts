import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, istio, pod, service } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, resourcesFor } from "../../test/support/mesh.ts";
import { analyzeReferences } from "../mesh/analyze.ts";

/** What protobuf's JSON writes for a text that is not set, and templates leave behind. */
const cart = { name: "cart", ip: "10.0.0.2", labels: { app: "cart" } };
const shop =
  service({ name: "cart", selector: { app: "cart" }, ports: { http: { port: 80, targetPort: 8080 } } }) +
  pod(cart) +
  endpoint("cart", cart, { http: 8080 });
const to = (destination: object) =>
  istio("VirtualService", "cart", {
    hosts: ["cart"],
    http: [{ route: [{ destination: { host: "cart", ...destination } }] }],
  });
const egress = (listener: object) => istio("Sidecar", "default", { egress: [{ hosts: ["./*"], ...listener }] });
const ingress = (listener: object) =>
  istio("Sidecar", "default", { ingress: [{ port: { number: 8080, name: "http", protocol: "HTTP" }, ...listener }] });
const atPort = { port: { number: 80, name: "http", protocol: "HTTP" } };

/** Each resource of the proxy by its kind and name, as the hash of its bytes. */
const sentFor = (object: string) =>
  [...resourcesFor(meshOf(shop + object), "cart.shop")].map(([type, { byName }]) => [
    type,
    [...byName].map(([name, { version }]) => [name, version]),
  ]);

const empty: Readonly<Record<string, readonly [empty: string, without: string]>> = {
  "the subset of a destination": [to({ subset: "" }), to({})],
  "bind of a Sidecar's egress": [egress({ bind: "" }), egress({})],
  "bind of a Sidecar's egress at a port": [egress({ ...atPort, bind: "" }), egress(atPort)],
  "bind of a Sidecar's ingress": [ingress({ bind: "" }), ingress({})],
  "bind of a Sidecar's ingress that it listens at itself": [
    ingress({ bind: "", captureMode: "NONE" }),
    ingress({ captureMode: "NONE" }),
  ],
};

for (const [what, [some, none]] of Object.entries(empty)) {
  test(`an empty text is as good as none: ${what}`, () => {
    const [findings, without] = [some, none].map((object) => analyzeReferences(objectsOf(shop + object)));
    assert.deepEqual(findings, without);
    assert.deepEqual(sentFor(some), sentFor(none));
  });
}

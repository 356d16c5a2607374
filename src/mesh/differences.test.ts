import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./parse-object.ts";

/** What docs/traffic.md says that is judged otherwise than by Istio's validation: a change of it belongs there too. */

type Document = readonly [kind: string, spec: object];

const to = { host: "cart" };
const web = [{ number: 80, name: "http", protocol: "HTTP" }];
const serverTls = (credentialName: string): Document => [
  "Gateway",
  { servers: [{ port: { ...web[0], protocol: "HTTPS" }, hosts: ["a.test"], tls: { mode: "SIMPLE", credentialName } }] },
];
const callerTls = (credentialName: string): Document => [
  "DestinationRule",
  { ...to, trafficPolicy: { tls: { mode: "SIMPLE", credentialName } } },
];
const byName = (location: string): Document => [
  "ServiceEntry",
  { hosts: ["*.a.test"], ports: web, location, resolution: "DYNAMIC_DNS" },
];
/** Refused here and taken by Istio, and what is taken by both. */
const refused: Readonly<Record<string, readonly [document: Document, field: string, taken: Document]>> = {
  "names inside the mesh that DNS looks up": [byName("MESH_INTERNAL"), "spec.location", byName("MESH_EXTERNAL")],
  "a gateway's Secret with its place": [
    serverTls("kubernetes://bank"),
    "spec.servers[0].tls.credentialName",
    serverTls("bank"),
  ],
  "a caller's Secret with its place": [
    callerTls("kubernetes://shop/bank"),
    "spec.trafficPolicy.tls.credentialName",
    callerTls("bank"),
  ],
};

function errorsOf([kind, spec]: Document) {
  const { findings } = parseObject({
    apiVersion: "networking.istio.io/v1",
    kind,
    metadata: { name: "it", namespace: "shop" },
    spec,
  });
  return findings.flatMap(({ severity, field }) => (severity === "error" ? [field] : []));
}

for (const [what, [document, field, taken]] of Object.entries(refused)) {
  test(`refused where Istio takes it: ${what}`, () => {
    assert.deepEqual([errorsOf(document), errorsOf(taken)], [[field], []]);
  });
}

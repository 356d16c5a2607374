import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { istio, pod } from "../../../test/support/manifests.ts";
import { meshOf, resourcesFor } from "../../../test/support/mesh.ts";
import { RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.ts";
import { TYPE_URL } from "../../xds/resource-set.ts";

interface ServerInput {
  readonly host: string;
  readonly portName?: string;
  readonly name?: string;
}

const gateway = (name: string, servers: readonly ServerInput[]) =>
  istio("Gateway", name, {
    selector: { app: "edge" },
    servers: servers.map(({ host, portName, name }) => ({
      port: { number: 443, protocol: "HTTPS", ...(portName === undefined ? {} : { name: portName }) },
      ...(name === undefined ? {} : { name }),
      hosts: [host],
      tls: { mode: "SIMPLE", credentialName: host },
    })),
  });
const routing = (at: string, host: string) =>
  istio("VirtualService", host, { hosts: [host], gateways: [at], http: [{ directResponse: { status: 200 } }] });

/** By the table's name, whom it has routes for. */
function tablesOf(...manifests: string[]): Record<string, string[]> {
  const mesh = meshOf(pod({ name: "edge-0", ip: "10.0.0.1", labels: { app: "edge" } }) + manifests.join(""));
  const routes = resourcesFor(mesh, "edge-0.shop", {}, "router").get(TYPE_URL.route);
  const tables = [...(routes?.byName.values() ?? [])].map(({ bytes }) => fromBinary(RouteConfigurationSchema, bytes));
  return Object.fromEntries(
    tables.map(({ name, virtualHosts }) => [name, virtualHosts.flatMap(({ domains }) => domains)]),
  );
}

const cases: readonly [what: string, manifests: readonly string[], expected: Record<string, string[]>][] = [
  [
    "names with dots whose parts meet elsewhere",
    [
      gateway("b.web", [{ host: "one.test", portName: "a" }]) + routing("./b.web", "one.test"),
      gateway("web", [{ host: "two.test", portName: "a.b" }]) + routing("./web", "two.test"),
    ],
    { "https.443.a.b.web.shop": ["one.test"], "https.443.[0].web.shop": ["two.test"] },
  ],
  [
    "a server's own name that is another's port's",
    [
      gateway("web", [
        { host: "one.test", portName: "tls" },
        { host: "two.test", name: "tls" },
      ]),
      routing("web", "one.test") + routing("web", "two.test"),
    ],
    { "https.443.tls.web.shop": ["one.test"], "https.443.[1].web.shop": ["two.test"] },
  ],
  [
    "a port called as another one's place, and names that are empty",
    [
      gateway("web", [
        { host: "one.test", portName: "1" },
        { host: "two.test", portName: "" },
        { host: "three.test", portName: "" },
      ]),
      routing("web", "one.test") + routing("web", "two.test") + routing("web", "three.test"),
    ],
    {
      "https.443.1.web.shop": ["one.test"],
      "https.443.[1].web.shop": ["two.test"],
      "https.443.[2].web.shop": ["three.test"],
    },
  ],
];
for (const [what, manifests, expected] of cases) {
  test(`each server that ends TLS has a table of its own: ${what}`, () => {
    assert.deepEqual(tablesOf(...manifests), expected);
  });
}

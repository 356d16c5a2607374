import assert from "node:assert/strict";
import { test } from "node:test";
import { NOWHERE } from "../../mesh/locality.ts";
import type { NetworkGateways } from "../../mesh/network-gateways.ts";
import type { MeshEndpoint } from "../../mesh/service-endpoints.ts";
import { targetsOf } from "./network-crossing.ts";

const at = (address: string, network: string, weight = 0): MeshEndpoint => ({
  ...{ address, network, weight, ports: {}, hasEveryPort: true, health: "healthy", labels: {}, identity: undefined },
  ...{
    tlsCapable: true,
    namespace: "shop",
    locality: NOWHERE,
    cluster: "east",
    nodeName: "",
    hostname: "",
    forZones: [],
  },
});
const gateway = (address: string) => ({ address, port: 15443 });
const gateways: NetworkGateways = new Map([
  ["here", [gateway("gate-here")]],
  ["one", [gateway("gate-1")]],
  ["two", [gateway("gate-2a"), gateway("gate-2b")]],
  ["three", [gateway("gate-3a"), gateway("gate-3b"), gateway("gate-3c")]],
]);

const cases: readonly [title: string, from: string, endpoints: MeshEndpoint[], targets: [string, number][]][] = [
  [
    "in one network nothing is said of weights",
    "here",
    [at("a", "here"), at("b", "here", 5)],
    [
      ["a", 0],
      ["b", 5],
    ],
  ],
  [
    "a network without a gateway is reached directly",
    "here",
    [at("a", "here"), at("b", "flat")],
    [
      ["a", 0],
      ["b", 0],
    ],
  ],
  ["an endpoint whose network is not named is reached directly", "here", [at("a", "")], [["a", 0]]],
  ["a caller whose network is not named reaches all directly", "", [at("a", "one")], [["a", 0]]],
  [
    "a gateway weighs what is behind it",
    "here",
    [at("a", "here"), at("b", "one"), at("c", "one", 3)],
    [
      ["a", 1],
      ["gate-1", 4],
    ],
  ],
  [
    "gateways of one network share, and the rest keeps its proportion",
    "here",
    [at("a", "here", 2), at("b", "two"), at("c", "three")],
    [
      ["a", 12],
      ["gate-2a", 3],
      ["gate-2b", 3],
      ["gate-3a", 2],
      ["gate-3b", 2],
      ["gate-3c", 2],
    ],
  ],
];
for (const [title, network, endpoints, expected] of cases) {
  test(title, () => {
    const targets = targetsOf(
      endpoints,
      { locality: NOWHERE, cluster: "east", nodeName: "", labels: {}, network },
      gateways,
    );
    const shown = targets.map((target) => [
      target.kind === "gateway" ? target.gateway.address : target.endpoint.address,
      target.weight,
    ]);
    assert.deepEqual(shown, expected);
  });
}

test("what drains behind a gateway weighs nothing while there is something else, and then the gateway drains too", () => {
  const draining = (address: string, network: string): MeshEndpoint => ({
    ...at(address, network),
    health: "draining",
  });
  const viewpoint = { locality: NOWHERE, cluster: "east", nodeName: "", labels: {}, network: "here" };
  const targets = targetsOf([draining("a", "one"), at("b", "one"), draining("c", "two")], viewpoint, gateways);
  assert.deepEqual(
    targets.map((target) => (target.kind === "gateway" ? [target.gateway.address, target.weight, target.health] : [])),
    [
      ["gate-1", 2, "healthy"],
      ["gate-2a", 1, "draining"],
      ["gate-2b", 1, "draining"],
    ],
  );
});

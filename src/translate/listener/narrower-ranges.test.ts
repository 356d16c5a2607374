import assert from "node:assert/strict";
import { test } from "node:test";
import { istio } from "../../../test/support/manifests.ts";
import { objectsOf } from "../../../test/support/mesh.ts";
import { withNarrowerRanges } from "./narrower-ranges.ts";
import type { TcpChain } from "./tcp-chain.ts";

const [routing] = objectsOf(
  istio("VirtualService", "a", { hosts: ["a.test"], tcp: [{ route: [{ destination: { host: "a.test" } }] }] }),
);
assert.ok(routing?.kind === "VirtualService");
const owner = routing;

function chain(cluster: string, serverNames: string[], ranges: string[], own: Partial<TcpChain> = {}): TcpChain {
  return {
    ...{ service: { hostname: "a.test", name: "a", namespace: "shop" }, serverNames, ranges },
    destinations: [{ cluster, weight: 1 }],
    ...{ endpointAddress: null, forwardPort: null, isBesideHttp: false, owner },
    ...{ idleTimeout: null, maxDuration: null, tunnel: null },
    ...own,
  };
}

/** `CLUSTER NAMES RANGES`. */
const shown = (chains: readonly TcpChain[]) =>
  withNarrowerRanges(chains).map(
    ({ destinations, serverNames, ranges }) => `${destinations[0]?.cluster} ${serverNames} ${ranges}`,
  );

const routes = [
  chain("any", ["x"], []),
  chain("wide", ["y"], ["10.0.0.0/8"]),
  chain("narrow", ["z"], ["10.1.0.0/16", "fd00::/8"]),
];

const other = { service: { hostname: "b.test", name: "b", namespace: "shop" } };

const cases: readonly [what: string, chains: readonly TcpChain[], expected: readonly string[]][] = [
  ["no ranges", [chain("any", ["x"], []), chain("rest", [], [])], ["any x ", "rest  "]],
  [
    "a name is found in every block, and in no wider one",
    routes,
    [
      "any x ",
      "any x 10.0.0.0/8,10.1.0.0/16,fd00::/8",
      "wide y 10.0.0.0/8,10.1.0.0/16",
      "narrow z 10.1.0.0/16,fd00::/8",
    ],
  ],
  [
    "the route that says more of an address goes first, though a later one",
    [chain("first", ["x"], []), chain("later", ["x"], ["10.0.0.0/8"])],
    ["first x ", "later x 10.0.0.0/8"],
  ],
  [
    "of two that say the same of an address the first goes first",
    [chain("first", [], ["10.0.0.0/8"]), chain("later", [], ["10.0.0.0/8", "10.1.0.0/16"])],
    ["first  10.0.0.0/8", "later  10.1.0.0/16"],
  ],
  [
    "one service's blocks are not another's",
    [chain("a", ["x"], []), chain("b", ["y"], ["10.0.0.0/8"], other)],
    ["a x ", "b y 10.0.0.0/8"],
  ],
];
for (const [what, chains, expected] of cases) test(what, () => assert.deepEqual(shown(chains), expected));

test("an object that asks for too much stays as it is", () => {
  const many = [
    chain(
      "names",
      Array.from({ length: 200 }, (_, i) => `n${i}`),
      [],
    ),
    chain(
      "ranges",
      ["x"],
      Array.from({ length: 200 }, (_, i) => `10.0.${i}.0/24`),
    ),
  ];
  assert.deepEqual(withNarrowerRanges(many), many);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpMatch } from "./istio/http-route.ts";
import { mergeMatches } from "./merge-matches.ts";

const cases: [name: string, root: HttpMatch[], leaf: HttpMatch[], merged: HttpMatch[] | null][] = [
  ["nothing asked is everything", [], [], []],
  ["only the root asks", [{ port: 80 }], [], [{ port: 80 }]],
  ["only the delegate asks", [], [{ port: 80 }], [{ port: 80 }]],
  [
    "different fields hold together",
    [{ uri: { prefix: "/a" }, name: "r" }],
    [{ method: { exact: "GET" }, name: "l" }],
    [{ uri: { prefix: "/a" }, method: { exact: "GET" }, name: "r-l" }],
  ],
  ["a longer prefix", [{ uri: { prefix: "/a" } }], [{ uri: { prefix: "/a/b" } }], [{ uri: { prefix: "/a/b" } }]],
  ["a path below", [{ uri: { prefix: "/a" } }], [{ uri: { exact: "/a/b" } }], [{ uri: { exact: "/a/b" } }]],
  ["a prefix elsewhere", [{ uri: { prefix: "/a" } }], [{ uri: { prefix: "/b" } }], null],
  ["a prefix of the root's path", [{ uri: { exact: "/a" } }], [{ uri: { prefix: "/" } }], null],
  ["an expression under a prefix", [{ uri: { prefix: "/a" } }], [{ uri: { regex: "/a.*" } }], null],
  ["the same expression", [{ uri: { regex: "/a.*" } }], [{ uri: { regex: "/a.*" } }], [{ uri: { regex: "/a.*" } }]],
  ["any path under a prefix", [{ uri: { prefix: "/a" } }], [{ uri: {} }], [{ uri: { prefix: "/a" } }]],
  ["a prefix under any path", [{ uri: {} }], [{ uri: { prefix: "/a" } }], [{ uri: { prefix: "/a" } }]],
  ["another case rule", [{ uri: { prefix: "/a" }, ignoreUriCase: true }], [{ uri: { prefix: "/a" } }], null],
  ["another port", [{ port: 80 }], [{ port: 81 }], null],
  ["another namespace", [{ sourceNamespace: "a" }], [{ sourceNamespace: "b" }], null],
  ["another label", [{ sourceLabels: { a: "1" } }], [{ sourceLabels: { a: "2" } }], null],
  [
    "more labels",
    [{ sourceLabels: { a: "1" } }],
    [{ sourceLabels: { b: "2" } }],
    [{ sourceLabels: { a: "1", b: "2" } }],
  ],
  ["a gateway of its own", [{ gateways: ["a"] }], [{ gateways: ["b"] }], null],
  [
    "a header that only has to be there widens nothing",
    [{ headers: { a: { exact: "1" } } }],
    [{ headers: { a: {}, b: {} } }],
    [{ headers: { a: { exact: "1" }, b: {} } }],
  ],
  ["another value", [{ headers: { a: { exact: "1" } } }], [{ headers: { a: { exact: "2" } } }], null],
  [
    "a header that must not be there stays so",
    [{ withoutHeaders: { a: {} } }],
    [{ withoutHeaders: { a: { exact: "1" } } }],
    [{ withoutHeaders: { a: {} } }],
  ],
  [
    "two values that a header must not have",
    [{ withoutHeaders: { a: { exact: "1" } } }],
    [{ withoutHeaders: { a: { exact: "2" } } }],
    null,
  ],
  [
    "each under each, without those that contradict",
    [{ uri: { prefix: "/a" } }, { uri: { prefix: "/b" } }],
    [{ uri: { prefix: "/a/x" } }, { method: { exact: "PUT" } }],
    [
      { uri: { prefix: "/a/x" } },
      { uri: { prefix: "/a" }, method: { exact: "PUT" } },
      { uri: { prefix: "/b" }, method: { exact: "PUT" } },
    ],
  ],
  [
    "one that contradicts all of the root's takes the others with it",
    [{ uri: { prefix: "/a" } }, { uri: { prefix: "/b" } }],
    [{ uri: { prefix: "/a/x" } }, { uri: { prefix: "/c" } }],
    null,
  ],
];

for (const [name, root, leaf, merged] of cases) {
  test(`conditions of a delegate: ${name}`, () => assert.deepEqual(mergeMatches(root, leaf), merged));
}

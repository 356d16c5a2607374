import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { parseObject } from "./parse-object.ts";

function findingsOf(kind: string, spec: object): string[] {
  const group = kind.endsWith("Policy") ? "security" : "networking";
  const metadata = { name: "it", namespace: "shop" };
  const { findings } = parseObject({ apiVersion: `${group}.istio.io/v1`, kind, metadata, spec });
  return findings.map(({ severity, field }) => `${severity} ${field}`);
}

const route = [{ destination: { host: "cart" } }];
const http = (...matches: (object[] | undefined)[]) => ({
  hosts: ["cart"],
  http: matches.map((match) => (match === undefined ? { route } : { match, route })),
});

const orders: readonly [title: string, spec: object, findings: string[]][] = [
  ["behind a route without conditions", http(undefined, [{ uri: { exact: "/a" } }]), ["warning spec.http[1]"]],
  ["behind a prefix of /", http([{ uri: { prefix: "/" } }], undefined), ["warning spec.http[1]"]],
  ["behind an empty condition", http([{}], undefined), ["warning spec.http[1]"]],
  ["behind a condition with only a name", http([{ name: "all" }], undefined), ["warning spec.http[1]"]],
  [
    "said twice",
    http([{ uri: { exact: "/a" } }], [{ name: "again", uri: { exact: "/a" } }]),
    ["warning spec.http[1].match[0]"],
  ],
  ["said twice in one route", http([{ port: 80 }, { port: 80 }]), ["warning spec.http[0].match[1]"]],
  [
    "behind a shorter prefix",
    http([{ uri: { prefix: "/a" } }], [{ uri: { prefix: "/a/b" } }, { uri: { exact: "/ab" } }]),
    ["warning spec.http[1].match[0]", "warning spec.http[1].match[1]"],
  ],
  [
    "behind fewer headers",
    http([{ headers: { a: { exact: "1" } } }], [{ headers: { a: { exact: "1" }, b: {} }, port: 80 }]),
    ["warning spec.http[1].match[0]"],
  ],
  [
    "the same expression",
    http([{ uri: { regex: "/a.*" } }], [{ uri: { regex: "/a.*" } }]),
    ["warning spec.http[1].match[0]"],
  ],
];
for (const [title, spec, findings] of orders) {
  test(`a route is never reached: ${title}`, () => assert.deepEqual(findingsOf("VirtualService", spec), findings));
}

const reached: readonly [title: string, spec: object][] = [
  ["behind a longer prefix", http([{ uri: { prefix: "/a/b" } }], [{ uri: { prefix: "/a" } }])],
  ["behind more headers", http([{ headers: { a: {}, b: {} } }], [{ headers: { a: {} } }])],
  ["behind another value", http([{ headers: { a: { exact: "1" } } }], [{ headers: { a: { exact: "2" } } }])],
  ["behind a header named like an object's own", http([{ headers: { constructor: {} } }], [{ headers: { a: {} } }])],
  ["behind other expressions", http([{ uri: { regex: "/a.*" } }], [{ uri: { exact: "/ab" } }])],
  ["behind a case that is ignored", http([{ uri: { exact: "/a" }, ignoreUriCase: true }], [{ uri: { exact: "/A" } }])],
  ["behind another port", http([{ port: 80 }], [{ port: 81 }])],
  ["behind another namespace", http([{ sourceNamespace: "a" }], undefined)],
  ["a catch-all at the end", http([{ uri: { exact: "/a" } }], undefined)],
];
for (const [title, spec] of reached) {
  test(`a route is reached: ${title}`, () => assert.deepEqual(findingsOf("VirtualService", spec), []));
}

test("very many conditions are looked at for no more than a moment", () => {
  const matches = Array.from({ length: 20_000 }, (_, index) => ({ uri: { exact: `/${index}` } }));
  assert.deepEqual(
    withinCpuMs(5000, () => findingsOf("VirtualService", http(matches, undefined))),
    [],
  );
});

const weights = (...numbers: (number | undefined)[]) => ({
  hosts: ["cart"],
  http: [
    {
      route: numbers.map((weight) => ({ destination: { host: "cart" }, ...(weight === undefined ? {} : { weight }) })),
    },
  ],
});
test("weights that do not sum to 100 are told, and none at all is refused", () => {
  assert.deepEqual(findingsOf("VirtualService", weights(90, 10)), []);
  assert.deepEqual(findingsOf("VirtualService", weights(undefined)), []);
  assert.deepEqual(findingsOf("VirtualService", weights(7)), []);
  assert.deepEqual(findingsOf("VirtualService", weights(90, 9)), ["warning spec.http[0].route"]);
  assert.deepEqual(findingsOf("VirtualService", weights(undefined, undefined)), ["error spec.http[0].route"]);
  assert.deepEqual(findingsOf("VirtualService", weights(...Array(4295).fill(1_000_000))), ["error spec.http[0].route"]);
});

const hosts: readonly [hosts: string[], findings: string[]][] = [
  [["a", "b", "a.example.com", "*.example.org"], []],
  [["*.example.com", "example.com"], []],
  [["*.b.example.com", "a.example.com"], []],
  [["a", "b", "a"], ["error spec.hosts[2]"]],
  [["a.example.com", "*.example.com"], ["error spec.hosts[0]"]],
  [["*.com", "*.example.com"], ["error spec.hosts[1]"]],
];
for (const [names, findings] of hosts) {
  test(`hosts ${names.join(", ")}: ${findings.length === 0 ? "well" : "refused"}`, () => {
    assert.deepEqual(findingsOf("VirtualService", { ...http(undefined), hosts: names }), findings);
  });
}

test("subsets need names of their own", () => {
  const subsets = (...names: string[]) => ({
    host: "cart",
    subsets: names.map((name) => ({ name, labels: { v: name } })),
  });
  assert.deepEqual(findingsOf("DestinationRule", subsets("v1", "v2")), []);
  assert.deepEqual(findingsOf("DestinationRule", subsets("v1", "v2", "v1")), ["error spec.subsets[2].name"]);
});

test("a ProxyConfig's image and environment are ones that a pod can have", () => {
  const of = (spec: object) => {
    const metadata = { name: "it", namespace: "shop" };
    const { findings } = parseObject({
      apiVersion: "networking.istio.io/v1beta1",
      kind: "ProxyConfig",
      metadata,
      spec,
    });
    return findings.map(({ severity, field }) => `${severity} ${field}`);
  };
  assert.deepEqual(of({ image: { imageType: "debug" }, environmentVariables: { A_1: "=" } }), []);
  assert.deepEqual(of({ image: { imageType: "a b" } }), ["error spec.image.imageType"]);
  assert.deepEqual(of({ environmentVariables: { EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "soon" } }), [
    "error spec.environmentVariables.EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
  ]);
  assert.deepEqual(of({ environmentVariables: { "a=b": "c" } }), ['error spec.environmentVariables["a=b"]']);
});

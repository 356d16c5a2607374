import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./parse-object.ts";

/** What Istio refuses of its policies is an error at the field. */

const from = (source: object) => ({ rules: [{ from: [{ source }] }] });
const selector = { matchLabels: { app: "cart" } };

const cases: Readonly<Record<string, readonly [kind: string, spec: object, fields: string[]]>> = {
  "accounts of its own and of other namespaces": [
    "AuthorizationPolicy",
    from({ serviceAccounts: ["cart", "shop/page"], notServiceAccounts: ["shop/till"] }),
    [],
  ],
  "accounts beside principals": [
    "AuthorizationPolicy",
    from({ serviceAccounts: ["cart"], principals: ["a/ns/b/sa/c"] }),
    ["spec.rules[0].from[0].source"],
  ],
  "accounts beside excluded namespaces": [
    "AuthorizationPolicy",
    from({ notServiceAccounts: ["cart"], notNamespaces: ["shop"] }),
    ["spec.rules[0].from[0].source"],
  ],
  "an account with two slashes": [
    "AuthorizationPolicy",
    from({ serviceAccounts: ["cart", "a/b/c"] }),
    ["spec.rules[0].from[0].source.serviceAccounts[1]"],
  ],
  "an empty account": [
    "AuthorizationPolicy",
    from({ serviceAccounts: [""] }),
    ["spec.rules[0].from[0].source.serviceAccounts[0]"],
  ],
  "paths like templates": [
    "AuthorizationPolicy",
    { action: "DENY", rules: [{ to: [{ operation: { paths: ["/a/{*}", "/a/{id}"], notPaths: ["/{b", "/c*"] } }] }] },
    [
      "spec.rules[0].to[0].operation.paths[0]",
      "spec.rules[0].to[0].operation.paths[1]",
      "spec.rules[0].to[0].operation.notPaths[0]",
    ],
  ],
  "modes for ports": ["PeerAuthentication", { selector, portLevelMtls: { 80: { mode: "STRICT" } } }, []],
  "modes for more ports than a proxy is sent": [
    "PeerAuthentication",
    { selector, portLevelMtls: Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [i + 1, {}])) },
    ["spec.portLevelMtls"],
  ],
  "modes for no port": ["PeerAuthentication", { selector, portLevelMtls: {} }, ["spec.portLevelMtls"]],
  "a mode for port 0": [
    "PeerAuthentication",
    { selector, portLevelMtls: { 0: { mode: "STRICT" } } },
    ['spec.portLevelMtls["0"]'],
  ],
  "modes for ports of all workloads": [
    "PeerAuthentication",
    { portLevelMtls: { 80: { mode: "STRICT" } } },
    ["spec.portLevelMtls"],
  ],
};

for (const [what, [kind, spec, fields]] of Object.entries(cases)) {
  test(`a ${kind} with ${what} is ${fields.length === 0 ? "taken" : "refused"}`, () => {
    const metadata = { name: "it", namespace: "shop" };
    const { findings } = parseObject({ apiVersion: "security.istio.io/v1", kind, metadata, spec });
    assert.deepEqual(
      findings.map(({ severity, field }) => `${severity} ${field}`),
      fields.map((field) => `error ${field}`),
    );
  });
}

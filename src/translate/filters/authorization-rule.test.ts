import assert from "node:assert/strict";
import { test } from "node:test";
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { PolicySchema } from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { AuthorizationRule } from "../../mesh/istio/authorization-policy.ts";
import { buildRule, type RuleContext } from "./authorization-rule.ts";

/** What each matcher does is asked of a real Envoy (test/envoy/authorization.test.ts); here is how rules come together. */

const context: RuleContext = { action: "ALLOW", layer: "http", trustDomains: ["td"], namespace: "shop" };

function built(rule: AuthorizationRule, changes: Partial<RuleContext> = {}): JsonValue {
  const policy = buildRule(rule, { ...context, ...changes });
  return policy && toJson(PolicySchema, policy);
}

const everything = { permissions: [{ any: true }], principals: [{ any: true }] };
const ofPath = { to: [{ operation: { paths: ["/a"] } }] };

test("an empty rule, and empty parts of a rule, ask nothing", () => {
  for (const rule of [{}, { from: [], to: [], when: [] }, { from: [{}], to: [{ operation: {} }] }]) {
    assert.deepEqual(built(rule), everything);
    assert.deepEqual(built(rule, { action: "DENY", layer: "tcp" }), everything);
  }
});

const unanswerable: [what: string, rule: AuthorizationRule, layers: readonly RuleContext["layer"][]][] = [
  ["a path", ofPath, ["tcp"]],
  ["no path", { to: [{ operation: { notPaths: ["/a"] } }] }, ["tcp"]],
  ["a method", { to: [{ operation: { methods: ["GET"] } }] }, ["tcp"]],
  ["a host", { to: [{ operation: { hosts: ["a"] } }] }, ["tcp"]],
  ["a token", { from: [{ source: { requestPrincipals: ["*"] } }] }, ["tcp"]],
  ["no token", { from: [{ source: { notRequestPrincipals: ["*"] } }] }, ["tcp"]],
  ["a header", { when: [{ key: "request.headers[a]", values: ["b"] }] }, ["tcp"]],
  ["an unknown key", { when: [{ key: "what.ever", values: ["b"] }] }, ["http", "tcp"]],
  ["a claim", { when: [{ key: "request.auth.claims[iss]", values: ["b"] }] }, ["http", "tcp"]],
  ["half an address", { from: [{ source: { ipBlocks: ["10.0.0.0/8", "10"] } }] }, ["http", "tcp"]],
  ["a port that is none", { to: [{ operation: { ports: ["x"] } }] }, ["http", "tcp"]],
  ["a key of nothing", { when: [{ key: "request.headers[]", values: ["b"] }] }, ["http", "tcp"]],
];

for (const [what, rule, layers] of unanswerable) {
  for (const layer of layers) {
    test(`${layer} cannot be asked for ${what}: ALLOW never matches, DENY does not ask`, () => {
      assert.equal(built(rule, { layer }), null);
      assert.deepEqual(built(rule, { layer, action: "DENY" }), everything);
    });
  }
}

test("an ALLOW rule keeps those of its alternatives that can be asked for", () => {
  const rule = { to: [...ofPath.to, { operation: { ports: ["80"] } }] };
  assert.deepEqual(built(rule, { layer: "tcp" }), {
    permissions: [{ andRules: { rules: [{ orRules: { rules: [{ destinationPort: 80 }] } }] } }],
    principals: [{ any: true }],
  });
});

test("conditions hold for each of the alternatives", () => {
  const rule = {
    from: [{ source: { ipBlocks: ["10.0.0.1"] } }, {}],
    to: [{ operation: { ports: ["80"] } }, {}],
    when: [
      { key: "remote.ip", values: ["10.0.0.2"] },
      { key: "destination.port", notValues: ["81"] },
    ],
  };
  const remote = {
    andIds: { ids: [{ orIds: { ids: [{ remoteIp: { addressPrefix: "10.0.0.2", prefixLen: 32 } }] } }] },
  };
  const port = { andRules: { rules: [{ notRule: { orRules: { rules: [{ destinationPort: 81 }] } } }] } };
  assert.deepEqual(built(rule), {
    principals: [
      {
        andIds: {
          ids: [{ orIds: { ids: [{ directRemoteIp: { addressPrefix: "10.0.0.1", prefixLen: 32 } }] } }, remote],
        },
      },
      { andIds: { ids: [remote] } },
    ],
    permissions: [
      { andRules: { rules: [{ orRules: { rules: [{ destinationPort: 80 }] } }, port] } },
      { andRules: { rules: [port] } },
    ],
  });
});

test("who is named by one name of the mesh's trust domain is meant by all of them, in DENY as in ALLOW", () => {
  for (const action of ["ALLOW", "DENY"] as const) {
    const source = { principals: ["old/ns/a/sa/b"], notPrincipals: ["cluster.local/ns/c/*"] };
    const rule = buildRule({ from: [{ source }] }, { ...context, action, trustDomains: ["td", "old"] });
    const text = JSON.stringify(rule);
    for (const domain of ["td", "old"]) {
      assert.ok(text.includes(`spiffe://${domain}/ns/a/sa/b`), `${action} ${domain}`);
      assert.ok(text.includes(`spiffe://${domain}/ns/c/`), `${action} not ${domain}`);
    }
  }
});

for (const [source, name] of [
  [{ principals: ["cluster.local/ns/a/sa/b"] }, { exact: "spiffe://td/ns/a/sa/b" }],
  [{ principals: ["cluster.local/ns/a/*"] }, { prefix: "spiffe://td/ns/a/" }],
  [{ principals: ["other/ns/a/sa/b"] }, { exact: "spiffe://other/ns/a/sa/b" }],
  [{ principals: ["cluster.locals/ns/a/sa/b"] }, { exact: "spiffe://cluster.locals/ns/a/sa/b" }],
  [{ serviceAccounts: ["b"] }, { exact: "spiffe://td/ns/shop/sa/b" }],
  [{ serviceAccounts: ["a/b"] }, { exact: "spiffe://td/ns/a/sa/b" }],
] as const) {
  test(`in trust domain td, ${JSON.stringify(source)} means ${JSON.stringify(name)}`, () => {
    const text = JSON.stringify(built({ from: [{ source: structuredClone<object>(source) }] }));
    assert.ok(text.includes(`"principalName":${JSON.stringify(name)}`), text);
  });
}

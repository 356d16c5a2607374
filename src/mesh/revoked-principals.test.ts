import assert from "node:assert/strict";
import { test } from "node:test";
import { analyzeReferences } from "./analyze.ts";
import { defaultMeshConfig } from "./mesh-config.ts";
import { parseObject } from "./parse-object.ts";

const LABEL = "trysail.io/revokes-identities";
const cart = { source: { principals: ["cluster.local/ns/shop/sa/cart"] } };

function warningsOf(policy: { readonly spec: object; readonly label?: string; readonly dryRun?: string }): string[] {
  const { spec, label = "true", dryRun } = policy;
  const annotations = dryRun === undefined ? {} : { "istio.io/dry-run": dryRun };
  const metadata = { name: "it", namespace: "trysail-system", labels: { [LABEL]: label }, annotations };
  const { findings } = parseObject({
    ...{ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec },
  });
  return findings.map(({ severity, field, message }) => `${severity} ${field} ${message}`);
}

test("a policy that revokes whom it names is warned of in no way", () => {
  assert.deepEqual(warningsOf({ spec: { action: "DENY", rules: [{ from: [cart] }, { from: [cart, cart] }] } }), []);
  assert.deepEqual(warningsOf({ spec: { action: "ALLOW", rules: [{ from: [cart] }] }, label: "false" }), []);
});

const narrowed = [
  { from: [{ source: { ...cart.source, ipBlocks: ["10.0.0.1"] } }] },
  { from: [{ source: { namespaces: ["shop"] } }] },
  { from: [cart], to: [{ operation: { paths: ["/a"] } }] },
  { from: [cart], when: [{ key: "source.ip", values: ["10.0.0.1"] }] },
  { to: [{ operation: { paths: ["/a"] } }] },
  {},
];
for (const rule of narrowed) {
  test(`a rule with something beside principals, ${JSON.stringify(rule)}, is told to revoke nobody`, () => {
    const [only, ...more] = warningsOf({ spec: { action: "DENY", rules: [{ from: [cart] }, rule] } });
    assert.deepEqual(more, []);
    assert.match(only ?? "", /^warning spec\.rules\[1\] .*revokes nobody: leave in it nothing but principals$/);
  });
}

const DENY = { action: "DENY", rules: [{ from: [cart] }] };
const whole = [
  { title: "another word than true", policy: { spec: DENY, label: "yes" }, says: /revokes nobody: it must be "true"/ },
  { title: "no action", policy: { spec: { ...DENY, action: undefined } }, says: /does not have the action DENY/ },
  {
    title: "a selector",
    policy: { spec: { ...DENY, selector: { matchLabels: { app: "cart" } } } },
    says: /has a selector, and so does not hold everywhere/,
  },
  { title: "a dry run", policy: { spec: DENY, dryRun: "true" }, says: /revokes nobody, since the policy is a dry run/ },
];
for (const { title, policy, says } of whole) {
  test(`a policy that is to revoke, and cannot by ${title}, is warned of at its label`, () => {
    const own = warningsOf(policy).filter((warning) => warning.includes(LABEL));
    assert.equal(own.length, 1);
    assert.match(own[0] ?? "", says);
  });
}

const places = [
  {
    namespace: "shop",
    roots: ["trysail-system", "istio-system"],
    says: /root namespace of the mesh: write it in trysail-system/,
  },
  { namespace: "trysail-system", roots: ["mesh-policies"], says: /write it in mesh-policies, or take the label away$/ },
  { namespace: "istio-system", roots: ["trysail-system", "istio-system"], says: null },
];
for (const { namespace, roots, says } of places) {
  test(`a policy of ${namespace} that is to revoke, where ${roots.join()} speak for the mesh, is ${says === null ? "not " : ""}warned of`, () => {
    const findings = (spec: object, labels: object) => {
      const metadata = { name: "it", namespace, labels };
      const { object } = parseObject({
        ...{ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata, spec },
      });
      assert.ok(object !== undefined);
      return analyzeReferences([object], { ...defaultMeshConfig, rootNamespaces: roots });
    };
    const [only, ...more] = findings(DENY, { [LABEL]: "true" });
    assert.equal(more.length, 0);
    assert.equal(only?.severity, says === null ? undefined : "warning");
    assert.match(only?.message ?? "", says ?? /^$/);
    // What revokes nobody for another reason is told of that alone, and what is not to revoke of nothing.
    for (const other of [findings({ ...DENY, action: "ALLOW" }, { [LABEL]: "true" }), findings(DENY, {})]) {
      assert.deepEqual(other, []);
    }
  });
}

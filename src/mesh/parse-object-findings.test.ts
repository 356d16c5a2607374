import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject } from "./parse-object.ts";

/** What is told of objects that are refused, or used without a part of them. */

const origin = { file: "/etc/mesh/a.yaml", document: 2 };

function virtualService(http: unknown, spec: object = {}): unknown {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "reviews", namespace: "bookstore" },
    spec: { hosts: ["reviews"], http, ...spec },
  };
}

function policy(spec: unknown): unknown {
  return { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "p" }, spec };
}

const route = [{ destination: { host: "reviews" } }];

const refused: [what: string, document: unknown, code: string, field: string | undefined, message: RegExp][] = [
  ["nothing of an object", "hello", "not-an-object", undefined, /must be a mapping with apiVersion, kind/],
  ["a list", [], "not-an-object", undefined, /separated by ---/],
  ["no kind", { apiVersion: "v1" }, "not-an-object", "kind", /has no kind/],
  ["no apiVersion", { kind: "Pod" }, "not-an-object", "apiVersion", /has no apiVersion/],
  [
    "a version that is not served",
    { apiVersion: "security.istio.io/v1alpha1", kind: "PeerAuthentication", metadata: { name: "a" } },
    "kind-unsupported",
    "apiVersion",
    /write apiVersion: security.istio.io\/v1$/,
  ],
  [
    "a kind that is misspelt",
    { apiVersion: "networking.istio.io/v1", kind: "VirtualSerivce", metadata: { name: "a" } },
    "kind-unsupported",
    "kind",
    /did you mean .*VirtualService/,
  ],
  [
    "a kind in the wrong group",
    { apiVersion: "v1", kind: "Deployment", metadata: { name: "a" } },
    "kind-unsupported",
    "kind",
    /did you mean apiVersion: apps\/v1/,
  ],
  [
    "no name",
    { apiVersion: "v1", kind: "Service", metadata: {}, spec: {} },
    "schema-invalid",
    "metadata.name",
    /is missing/,
  ],
  [
    "a name with a separator of Envoy's",
    { apiVersion: "v1", kind: "Service", metadata: { name: "a|b" }, spec: {} },
    "schema-invalid",
    "metadata.name",
    /lower-case letters/,
  ],
  [
    "a label that is a number",
    { apiVersion: "v1", kind: "Namespace", metadata: { name: "a", labels: { "app.io/v": 1 } } },
    "schema-invalid",
    'metadata.labels["app.io/v"]',
    /quote it, as "1"/,
  ],
  [
    "text for a number",
    virtualService([{ route: [{ destination: { host: "a" }, weight: "90" }] }]),
    "schema-invalid",
    "spec.http[0].route[0].weight",
    /VirtualService bookstore\/reviews: .* whole number .* is "90": remove the quotes/,
  ],
  [
    "a number out of range",
    virtualService([{ route: [{ destination: { host: "a", port: { number: 70000 } } }] }]),
    "schema-invalid",
    "spec.http[0].route[0].destination.port.number",
    /from 1 to 65535, but is 70000/,
  ],
  ["a mapping for a list", virtualService({ route }), "schema-invalid", "spec.http", /must be a list/],
  [
    "a missing field",
    virtualService([{ route: [{}] }]),
    "schema-invalid",
    "spec.http[0].route[0].destination",
    /is missing/,
  ],
  [
    "a duration without a unit",
    virtualService([{ route, timeout: "3" }]),
    "schema-invalid",
    "spec.http[0].timeout",
    /a duration such as 1.5s/,
  ],
  [
    "two matches in one",
    virtualService([{ match: [{ uri: { exact: "/", prefix: "/" } }], route }]),
    "schema-invalid",
    "spec.http[0].match[0].uri",
    /exactly one of exact, prefix, regex or \{\}, but is a mapping with exact, prefix/,
  ],
  [
    "text for a match",
    virtualService([{ match: [{ uri: "/a" }], route }]),
    "schema-invalid",
    "spec.http[0].match[0].uri",
    /exactly one of exact, prefix, regex or \{\}, but is "\/a"/,
  ],
  [
    "a number in a match",
    virtualService([{ match: [{ uri: { exact: 1 } }], route }]),
    "schema-invalid",
    "spec.http[0].match[0].uri.exact",
    /quote it, as "1"/,
  ],
  [
    "a misspelt header match, which must not become a match for presence",
    virtualService([{ match: [{ headers: { a: { exat: "1" } } }], route }]),
    "schema-invalid",
    "spec.http[0].match[0].headers.a",
    /exactly one of/,
  ],
  [
    "a misspelt condition, which must not widen its route",
    virtualService([{ match: [{ url: { exact: "/" } }], route }]),
    "field-unsupported",
    "spec.http[0].match[0].url",
    /is not a field of VirtualService; .* not used/,
  ],
  [
    "a regular expression that RE2 does not have",
    virtualService([{ match: [{ uri: { regex: "(?=a)" } }], route }]),
    "schema-invalid",
    "spec.http[0].match[0].uri.regex",
    /RE2/,
  ],
  ["a route to nowhere", virtualService([{}]), "schema-invalid", "spec.http[0]", /nowhere to go/],
  [
    "a host that could break out of a name",
    virtualService([{ route: [{ destination: { host: "a|b" } }] }]),
    "schema-invalid",
    "spec.http[0].route[0].destination.host",
    /host name/,
  ],
  [
    "a value of Istio's that is not supported",
    policy({ action: "CUSTOM" }),
    "schema-invalid",
    "spec.action",
    /must be one of "ALLOW", "DENY", but is "CUSTOM" \(a value of Istio's/,
  ],
  [
    "an unknown field in a policy",
    policy({ rules: [{ from: [{ source: { principal: ["a"] } }] }] }),
    "field-unsupported",
    "spec.rules[0].from[0].source.principal",
    /not used/,
  ],
  [
    "a field of Istio's in a policy",
    policy({ targetRefs: [] }),
    "field-unsupported",
    "spec.targetRefs",
    /does not support yet; .* not used/,
  ],
  [
    "an empty source",
    policy({ rules: [{ from: [{ source: { principals: [] } }] }] }),
    "schema-invalid",
    "spec.rules[0].from[0].source",
    /is empty/,
  ],
  [
    "an empty operation",
    policy({ rules: [{ to: [{}] }] }),
    "schema-invalid",
    "spec.rules[0].to[0].operation",
    /is empty/,
  ],
  [
    "a port that is none",
    policy({ rules: [{ to: [{ operation: { ports: ["http"] } }] }] }),
    "schema-invalid",
    "spec.rules[0].to[0].operation.ports[0]",
    /port number/,
  ],
  [
    "an unknown field beside the spec of a policy",
    { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "p" }, specs: {} },
    "field-unsupported",
    "specs",
    /not used/,
  ],
  [
    "an unknown field in PeerAuthentication",
    { apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata: { name: "p" }, spec: { mtsl: {} } },
    "field-unsupported",
    "spec.mtsl",
    /not used/,
  ],
  [
    "a port of no workload",
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "p" },
      spec: { portLevelMtls: { 80: {} } },
    },
    "schema-invalid",
    "spec.portLevelMtls",
    /needs a selector/,
  ],
  [
    "a port by name",
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "p" },
      spec: { selector: { matchLabels: { a: "b" } }, portLevelMtls: { http: {} } },
    },
    "schema-invalid",
    "spec.portLevelMtls.http",
    /must be a number/,
  ],
  [
    "a selector of a DestinationRule's clients that cannot be read",
    {
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { name: "d" },
      spec: { host: "a", workloadSelector: { matchExpressions: [] } },
    },
    "field-unsupported",
    "spec.workloadSelector.matchExpressions",
    /not used/,
  ],
  [
    "a secret that is not base64",
    { apiVersion: "v1", kind: "Secret", metadata: { name: "s" }, data: { a: "?" } },
    "schema-invalid",
    "data.a",
    /not base64/,
  ],
  [
    "an endpoint without address",
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: "e" },
      addressType: "IPv4",
      endpoints: [{ addresses: [] }],
    },
    "schema-invalid",
    "endpoints[0].addresses",
    /must not be empty/,
  ],
];

for (const [what, document, code, field, message] of refused) {
  test(`refuses ${what}`, () => {
    const { object, findings } = parseObject(document, origin);
    assert.equal(object, undefined);
    const [finding] = findings.filter(({ severity }) => severity === "error");
    assert.equal(finding?.code, code);
    assert.equal(finding?.field, field);
    assert.match(finding?.message ?? "", message);
    assert.deepEqual(finding?.origin, origin);
  });
}

const reported: [what: string, document: unknown, severity: string, code: string, message: RegExp][] = [
  [
    "a field that is misspelt",
    virtualService([{ route, retires: {} }]),
    "warning",
    "field-unsupported",
    /spec.http\[0\].retires is not a field of VirtualService; it is ignored/,
  ],
  [
    "a field of Istio's that is not supported",
    virtualService([{ route, fault: { delay: { fixedDelay: "1s", percent: 1, exponentialDelay: "1s" } } }]),
    "warning",
    "field-unsupported",
    /exponentialDelay is a field of Istio's that this version does not support yet/,
  ],
  ["a policy that denies nothing", policy({ action: "DENY" }), "warning", "value-refused", /denies nothing/],
];

for (const [what, document, severity, code, message] of reported) {
  test(`reports ${what} and uses the rest`, () => {
    const { object, findings } = parseObject(document, origin);
    assert.notEqual(object, undefined);
    assert.equal(findings.length, 1);
    assert.equal(findings[0]?.severity, severity);
    assert.equal(findings[0]?.code, code);
    assert.match(findings[0]?.message ?? "", message);
  });
}

test("an unknown field is not in the object that is used", () => {
  const { object } = parseObject(virtualService([{ route, retires: {} }]));
  assert.deepEqual(object?.kind === "VirtualService" && object.spec.http, [{ route }]);
});

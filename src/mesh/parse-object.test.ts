import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type TSchema, Type } from "typebox";
import { Compile } from "typebox/compile";
import { conform } from "./conform.ts";
import { parseObject, parseObjects } from "./parse-object.ts";
import { kindSchemas } from "./schemas.ts";
import { unsupportedFields } from "./unsupported.ts";

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

test("a valid object comes back with defaults, frozen to the bottom, and its numbers and strings exact", () => {
  const { object, findings } = parseObject(
    { apiVersion: "v1", kind: "Service", metadata: { name: "a" }, spec: { ports: [{ port: 65535, custom: "0x10" }] } },
    origin,
  );
  assert.deepEqual(findings, []);
  assert.deepEqual(object, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "a", namespace: "default", labels: {}, annotations: {} },
    spec: { ports: [{ port: 65535, custom: "0x10" }] },
    origin,
  });
  assert.ok(
    object?.kind === "Service" && Object.isFrozen(object.spec.ports?.[0]) && Object.isFrozen(object.metadata.labels),
  );
});

test("a namespace has no namespace, whatever it says", () => {
  const { object } = parseObject({ apiVersion: "v1", kind: "Namespace", metadata: { name: "a", namespace: "b" } });
  assert.equal(object?.metadata.namespace, "");
});

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
    /exactly one of exact, prefix, regex, but is a mapping with exact, prefix/,
  ],
  [
    "text for a match",
    virtualService([{ match: [{ uri: "/a" }], route }]),
    "schema-invalid",
    "spec.http[0].match[0].uri",
    /exactly one of exact, prefix, regex, but is "\/a"/,
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
  ["a policy that denies nothing", policy({ action: "DENY" }), "warning", "value-invalid", /denies nothing/],
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

test("kinds that are not read are told apart: the mesh's own, Kubernetes' and others'", () => {
  const severityOf = (apiVersion: string, kind: string) =>
    parseObject({ apiVersion, kind, metadata: { name: "a" } }).findings.map(({ severity, code }) => [severity, code]);
  assert.deepEqual(severityOf("networking.istio.io/v1", "EnvoyFilter"), [["warning", "kind-unsupported"]]);
  assert.deepEqual(severityOf("gateway.networking.k8s.io/v1", "Gateway"), [["warning", "kind-unsupported"]]);
  assert.deepEqual(severityOf("rbac.authorization.k8s.io/v1", "Role"), [["info", "kind-unsupported"]]);
  assert.deepEqual(severityOf("example.com/v1", "Thing"), [["warning", "kind-unsupported"]]);
  assert.deepEqual(severityOf("serving.knative.dev/v1", "Service"), [["warning", "kind-unsupported"]]);
  assert.deepEqual(severityOf("networking.istio.io/v1", "Nonsense"), [["error", "kind-unsupported"]]);
});

test("null means absent, as it does for Kubernetes", () => {
  const { object, findings } = parseObject({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "a", labels: null, creationTimestamp: null },
    spec: { selector: null },
  });
  assert.deepEqual(findings, []);
  assert.ok(object?.kind === "Service" && !("selector" in object.spec) && !("creationTimestamp" in object.metadata));
});

test("a policy without a spec is one that allows nothing, not one that is missing", () => {
  const { object } = parseObject({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "p" },
  });
  assert.deepEqual(object?.kind === "AuthorizationPolicy" && object.spec, {});
});

test("a secret's stringData is folded into its data, over what is there", () => {
  const { object } = parseObject({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    data: { a: "QQ==", b: "Qg==" },
    stringData: { a: "new" },
  });
  assert.deepEqual(object?.kind === "Secret" && object.data, { a: Buffer.from("new").toString("base64"), b: "Qg==" });
  assert.ok(object !== undefined && !("stringData" in object));
});

test("no finding about a secret holds its values", () => {
  const { findings } = parseObject({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    data: { a: 736251 },
    stringData: { b: ["hunter2"] },
  });
  assert.equal(findings.length, 2);
  assert.doesNotMatch(JSON.stringify(findings), /736251|hunter2/);
});

test("lists are unfolded, typed and nested ones too, and one bad item leaves the others alone", () => {
  const item = (name: string) => ({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name } });
  const { objects, findings } = parseObjects({
    apiVersion: "v1",
    kind: "List",
    items: [
      item("a"),
      5,
      { kind: "ServiceAccountList", apiVersion: "v1", items: [{ metadata: { name: "b" } }] },
      item("c"),
    ],
  });
  assert.deepEqual(
    objects.map(({ metadata }) => metadata.name),
    ["a", "b", "c"],
  );
  assert.deepEqual(
    findings.map(({ code }) => code),
    ["not-an-object"],
  );
});

test("every kind accepts each API version it lists", () => {
  for (const { kind, apiVersions } of kindSchemas) {
    for (const apiVersion of apiVersions) {
      const { findings } = parseObject({ apiVersion, kind, metadata: { name: "a" } });
      assert.ok(
        findings.every(({ code }) => code !== "kind-unsupported"),
        `${kind} ${apiVersion}`,
      );
    }
  }
});

test("no field is listed as unsupported that a schema has", () => {
  for (const { kind, schema, istio } of kindSchemas) {
    if (!istio) continue;
    for (const path of unsupportedFields[kind] ?? []) {
      assert.equal(schemaAt(schema, path.split(".")), undefined, `${kind} ${path}`);
      assert.notEqual(schemaAt(schema, path.split(".").slice(0, -1)), undefined, `the parent of ${kind} ${path}`);
    }
  }
});

function schemaAt(schema: TSchema | undefined, path: string[]): TSchema | undefined {
  if (schema === undefined || path.length === 0) return schema;
  if (Type.IsArray(schema)) return schemaAt(schema.items, path);
  const [key = "", ...rest] = path;
  return Type.IsObject(schema) && Object.hasOwn(schema.properties, key)
    ? schemaAt(schema.properties[key], rest)
    : undefined;
}

/** Values that are nearly objects of a kind: right field names, wrong and right values mixed. */
function nearly(schema: TSchema): fc.Arbitrary<unknown> {
  const junk = fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(null, true, -1, 1.5, "", "x", "1s", [], {}),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const right = rightly(schema);
  return fc.oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: junk });
}

function rightly(schema: TSchema): fc.Arbitrary<unknown> {
  if (Type.IsObject(schema)) {
    const fields: Record<string, fc.Arbitrary<unknown>> = { extra: fc.constant(1) };
    for (const [key, field] of Object.entries(schema.properties)) fields[key] = nearly(field);
    return fc.record(fields, { requiredKeys: [...(schema.required ?? [])] });
  }
  if (Type.IsArray(schema)) return fc.array(nearly(schema.items), { maxLength: 3 });
  if (Type.IsUnion(schema)) return fc.oneof(...schema.anyOf.map(nearly));
  if (Type.IsRecord(schema)) {
    const [value] = Object.values(schema.patternProperties);
    return fc.dictionary(
      fc.constantFrom("a", "80", "__proto__", "a.b", "constructor"),
      value === undefined ? fc.constant(0) : nearly(value),
      { maxKeys: 3 },
    );
  }
  if (Type.IsString(schema)) return fc.constantFrom("a", "a.b", "5s", "*", "1", "A b|");
  if (Type.IsInteger(schema)) return fc.integer({ min: -1, max: 70000 });
  if (Type.IsBoolean(schema)) return fc.boolean();
  if (Type.IsLiteral(schema)) return fc.constant(schema.const);
  return fc.constant(null);
}

for (const { kind, apiVersions, schema } of kindSchemas) {
  const validator = Compile(schema);
  test(`whatever a ${kind} holds, it is used only if its schema holds, and said why if it is not`, () => {
    const document = fc
      .tuple(nearly(schema), fc.constantFrom(...apiVersions))
      .map(([value, apiVersion]) => ({ ...(typeof value === "object" ? value : {}), apiVersion, kind }));
    fc.assert(
      fc.property(document, (value) => {
        const { value: cleaned, mismatches } = conform(schema, value);
        assert.equal(validator.Check(cleaned), mismatches.length === 0, "the words and the validator agree");
        const { object, findings } = parseObject(structuredClone(value), origin);
        const refusals = findings.filter(({ severity }) => severity === "error");
        assert.equal(object === undefined, refusals.length > 0);
        if (object !== undefined) assert.ok(Object.isFrozen(object) && object.metadata.name !== "");
      }),
      { numRuns: 150 },
    );
  });
}

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

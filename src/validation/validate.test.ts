import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdmissionRequest } from "../injection/review.ts";
import { createReferenceAnalyzer } from "../mesh/analyze.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { parseObject } from "../mesh/parse-object.ts";
import { validate } from "./validate.ts";

const mesh = [
  { apiVersion: "v1", kind: "Service", metadata: { name: "cart", namespace: "shop" }, spec: { ports: [{ port: 80 }] } },
].flatMap((value): KnownObject[] => {
  const { object } = parseObject(value);
  return object === undefined ? [] : [object];
});
const analyze = createReferenceAnalyzer(mesh);

const virtualService = (spec: object, metadata: object = {}) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: "cart", namespace: "shop", ...metadata },
  spec,
});
const good = { hosts: ["cart"], http: [{ route: [{ destination: { host: "cart" } }] }] };
const bad = { hosts: ["cart"], http: [{ route: [{ destination: { host: "cart" }, weight: "90" }] }] };

function review(object: unknown, request: Partial<AdmissionRequest> = {}) {
  const kind = { group: "networking.istio.io", version: "v1", kind: "VirtualService" };
  const all = { uid: "u-1", kind, operation: "CREATE", namespace: "shop", name: "cart", object, ...request };
  return validate(all, { analyze });
}

test("an object that is right and refers to what exists is accepted without a word", () => {
  const { response, outcome } = review(virtualService(good));
  assert.deepEqual([response, outcome], [{ uid: "u-1", allowed: true }, "accepted"]);
});

test("an object that is wrong is denied, each error a sentence and a field", () => {
  const spec = { ...bad, hosts: ["*"], http: [...bad.http, { timeout: "soon", route: good.http[0]?.route }] };
  const { response, outcome } = review(virtualService(spec));
  assert.equal(outcome, "denied");
  assert.deepEqual(response, {
    uid: "u-1",
    allowed: false,
    status: {
      code: 422,
      reason: "Invalid",
      message:
        'VirtualService shop/cart: spec.http[0].route[0].weight must be a whole number from 0 to 1000000, but is "90": remove the quotes; spec.http[1].timeout must be a duration such as 1.5s, 250ms or 1m30s, but is "soon"',
      details: {
        group: "networking.istio.io",
        kind: "VirtualService",
        name: "cart",
        causes: [
          {
            reason: "FieldValueInvalid",
            message: 'must be a whole number from 0 to 1000000, but is "90": remove the quotes',
            field: "spec.http[0].route[0].weight",
          },
          {
            reason: "FieldValueInvalid",
            message: 'must be a duration such as 1.5s, 250ms or 1m30s, but is "soon"',
            field: "spec.http[1].timeout",
          },
        ],
      },
    },
  });
});

test("what is served but not as written is a warning: unsupported fields, and references to nothing", () => {
  const fault = { abort: { httpStatus: 503, percentage: { value: 1 }, http2Error: "CANCEL" } };
  const spec = { hosts: ["cart"], http: [{ fault, route: [{ destination: { host: "crat", subset: "v1" } }] }] };
  const { response, outcome } = review(virtualService(spec));
  assert.equal(outcome, "warned");
  assert.deepEqual(response, {
    uid: "u-1",
    allowed: true,
    warnings: [
      "VirtualService shop/cart: spec.http[0].fault.abort.http2Error is a field of Istio's that this version does not support yet; it has no effect, the rest is used",
      "VirtualService shop/cart: spec.http[0].route[0].destination.host names crat (crat.shop.svc.cluster.local), but there is no such Service: correct the name, or add the Service",
    ],
  });
});

test("a denied object's warnings come along", () => {
  const { response } = review(virtualService({ ...bad, http: [{ ...bad.http[0], retires: {} }] }));
  assert.equal(response.allowed, false);
  assert.match(response.warnings?.[0] ?? "", /spec\.http\[0\]\.retires/);
});

test("an ignored field that could open what its author closed is denied", () => {
  const kind = { group: "security.istio.io", version: "v1", kind: "AuthorizationPolicy" };
  const policy = { apiVersion: "security.istio.io/v1", kind: kind.kind, metadata: { name: "p", namespace: "shop" } };
  const { response } = review({ ...policy, spec: { action: "DENY", rules: [{ form: [] }] } }, { kind, name: "p" });
  assert.equal(response.allowed, false);
  assert.equal(response.status.details?.causes[0]?.field, "spec.rules[0].form");
});

test("a bad object can still be labelled, but not changed into another bad one", () => {
  const update = { operation: "UPDATE", oldObject: virtualService(bad) };
  const labelled = review(virtualService(bad, { labels: { team: "a" } }), update);
  assert.equal(labelled.outcome, "warned");
  assert.equal(labelled.response.allowed && labelled.response.warnings?.length, 1);
  const changed = review(virtualService({ ...bad, hosts: ["other"] }), update);
  assert.equal(changed.outcome, "denied");
  assert.equal(review(virtualService(bad), { ...update, oldObject: virtualService(good) }).outcome, "denied");
});

const ignored: readonly [string, unknown, Partial<AdmissionRequest>][] = [
  ["a deletion", null, { operation: "DELETE", oldObject: virtualService(bad) }],
  ["a status", virtualService(bad), { operation: "UPDATE", subResource: "status" }],
  [
    "an object that is being deleted",
    virtualService(bad, { deletionTimestamp: "2026-01-01T00:00:00Z" }),
    { operation: "UPDATE" },
  ],
  ["a Pod", {}, { kind: { group: "", version: "v1", kind: "Pod" } }],
  ["a Deployment", {}, { kind: { group: "apps", version: "v1", kind: "Deployment" } }],
];
for (const [title, object, request] of ignored) {
  test(`${title} is none of its business`, () => {
    const { response, outcome } = review(object, request);
    assert.deepEqual([response, outcome], [{ uid: "u-1", allowed: true }, "ignored"]);
  });
}

test("kinds of Istio's that are not supported yet, or not known, are accepted with a warning", () => {
  for (const kind of ["EnvoyFilter", "BrandNew"]) {
    const group = "networking.istio.io";
    const object = { apiVersion: `${group}/v1alpha3`, kind, metadata: { name: "x" }, spec: {} };
    const { response } = review(object, { kind: { group, version: "v1alpha3", kind } });
    assert.equal(response.allowed, true);
    assert.match((response.allowed && response.warnings?.[0]) || "", new RegExp(kind));
  }
});

for (const object of [undefined, null, 1, "text", [], {}]) {
  test(`${JSON.stringify(object)} for an object is denied`, () => {
    const { response } = review(object);
    assert.equal(response.allowed, false);
    assert.match(response.status.message, /not a Kubernetes object|is a list/);
  });
}

test("a name that is yet to be generated is no error", () => {
  const object = { ...virtualService(good), metadata: { generateName: "cart-" } };
  assert.equal(review(object, { name: "" }).outcome, "accepted");
});

test("warnings are short, few and free of control characters", () => {
  const host = `${"a".repeat(250)}`;
  const routes = Array.from({ length: 40 }, () => ({
    route: [{ destination: { host } }],
    match: [{ uri: { exact: "/x" } }],
  }));
  const { response } = review(virtualService({ hosts: ["cart"], http: routes, "new\nline\u202e": 1 }));
  const warnings = response.warnings ?? [];
  assert.equal(warnings.length, 16);
  assert.match(warnings[15] ?? "", /^and \d+ more$/);
  for (const warning of warnings) {
    assert.ok(warning.length <= 256);
    assert.doesNotMatch(warning, /[\n\u202e]/);
  }
});

test("a failure of our own is denied without its cause, which the log has", () => {
  const fail = () => {
    throw new Error("secret cause");
  };
  const kind = { group: "networking.istio.io", version: "v1", kind: "VirtualService" };
  const request = { uid: "u-1", kind, operation: "CREATE", object: virtualService(good) };
  const { response, cause } = validate(request, { analyze: fail });
  assert.equal(response.allowed, false);
  assert.equal(response.status.code, 500);
  assert.doesNotMatch(JSON.stringify(response), /secret cause/);
  assert.match(String(cause), /secret cause/);
});

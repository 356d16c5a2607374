import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding } from "../mesh/finding.ts";
import type { KnownObject } from "../mesh/kinds.ts";
import { parseObject } from "../mesh/parse-object.ts";
import { buildStatuses } from "./build-statuses.ts";
import type { Distribution } from "./distribution.ts";
import { CONDITION_TYPES, type ObjectStatus } from "./object-status.ts";

const ref = { kind: "VirtualService", namespace: "shop", name: "web" };
const key = "VirtualService shop/web";

function virtualService(generation?: number): KnownObject {
  const { object } = parseObject({
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "web", namespace: "shop", uid: "u", ...(generation === undefined ? {} : { generation }) },
    spec: { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] },
  });
  assert.ok(object);
  return object;
}

const finding = (own: Partial<Finding> = {}): Finding => ({
  ...{ severity: "warning", code: "value-invalid", message: `${key}: spec.x is odd`, object: ref, generation: 2 },
  ...own,
});
const spread = (own: Partial<Distribution> = {}): Distribution => ({
  ...{ generation: 2, proxies: 3, reached: 3, refused: 0, refusal: null },
  ...own,
});

interface Case {
  readonly objects?: readonly KnownObject[];
  readonly findings?: readonly Finding[];
  readonly distribution?: Distribution;
}

function statusOf({ objects = [virtualService(2)], findings = [], distribution = spread() }: Case): ObjectStatus {
  const statuses = buildStatuses({ objects, findings, distributions: new Map([[key, distribution]]) });
  assert.equal(statuses.length, 1);
  const [status] = statuses;
  assert.ok(status);
  assert.deepEqual(
    status.conditions.map(({ type }) => type),
    [...CONDITION_TYPES],
  );
  return status;
}

const error = (own: Partial<Finding> = {}) =>
  finding({ severity: "error", code: "schema-invalid", message: `${key}: spec.hosts must be a list`, ...own });
const refusal = { proxy: "web-0.shop", message: "Invalid path:\n/x" };
const lastGood = "its last good version, of generation 1, is on 3 of 3 proxies";
const cases: readonly [what: string, given: Case, condition: string, expected: readonly string[]][] = [
  ["an object without findings", {}, "Accepted", ["True", "Accepted", "in use"]],
  ["the same", {}, "ResolvedRefs", ["True", "ResolvedRefs", "all that it names exists"]],
  ["the same", {}, "Conflicted", ["False", "NoConflicts", "no other object says something else"]],
  ["the same", {}, "Programmed", ["True", "Programmed", "no proxy refuses it"]],
  ["the same", {}, "Reconciled", ["True", "Reconciled", "3 of 3 proxies up to date"]],
  [
    "warnings",
    { findings: [finding(), finding({ message: "another" })] },
    "Accepted",
    ["True", "AcceptedWithWarnings", "in use, but spec.x is odd (and 1 more)"],
  ],
  [
    "an older version's finding",
    { findings: [finding({ generation: 1 })] },
    "Accepted",
    ["True", "Accepted", "in use"],
  ],
  [
    "no version that was ever good",
    { objects: [], findings: [error()] },
    "Accepted",
    ["False", "SchemaInvalid", "spec.hosts must be a list"],
  ],
  [
    "the same",
    { objects: [], findings: [error()] },
    "ResolvedRefs",
    ["Unknown", "NotAccepted", "not looked at, since it is not accepted"],
  ],
  [
    "the same",
    { objects: [], findings: [error()] },
    "Reconciled",
    ["False", "NotAccepted", "no version of it is in use"],
  ],
  [
    "a last good version",
    { objects: [virtualService(1)], findings: [error()] },
    "Accepted",
    ["False", "SchemaInvalid", "spec.hosts must be a list"],
  ],
  ["the same", { objects: [virtualService(1)], findings: [error()] }, "Programmed", ["False", "NotAccepted", lastGood]],
  [
    "a dangling reference",
    { findings: [finding({ code: "reference-missing" })] },
    "ResolvedRefs",
    ["False", "ReferenceMissing", "spec.x is odd"],
  ],
  [
    "a rival",
    { findings: [finding({ code: "object-conflict" })] },
    "Conflicted",
    ["True", "ObjectConflict", "spec.x is odd"],
  ],
  [
    "proxies that lag",
    { distribution: spread({ reached: 1 }) },
    "Reconciled",
    ["False", "Pending", "1 of 3 proxies up to date"],
  ],
  [
    "a proxy that refuses",
    { distribution: spread({ reached: 2, refused: 1, refusal }) },
    "Programmed",
    ["False", "ProxyRejected", "1 of 3 proxies refuses it and keeps what it had; web-0.shop: Invalid path: /x"],
  ],
];
for (const [what, given, type, [status, reason, message]] of cases) {
  test(`${what}: ${type} is ${status}`, () => {
    const held = statusOf(given).conditions.find((condition) => condition.type === type);
    assert.deepEqual([held?.status, held?.reason, held?.message], [status, reason, message]);
    assert.equal(held?.observedGeneration, 2);
  });
}

test("the version that was looked at is the one that findings speak of, not the last good one", () => {
  const { observedGeneration, uid } = statusOf({ objects: [virtualService(1)], findings: [error()] });
  assert.deepEqual([observedGeneration, uid], [2, "u"]);
});

test("every finding is a validation message in Istio's form", () => {
  const { validationMessages } = statusOf({ findings: [error(), finding(), finding({ severity: "info" })] });
  assert.deepEqual(validationMessages, [
    { type: { name: "SchemaInvalid", code: "schema-invalid" }, level: "ERROR" },
    { type: { name: "ValueInvalid", code: "value-invalid" }, level: "WARNING" },
    { type: { name: "ValueInvalid", code: "value-invalid" }, level: "INFO" },
  ]);
});

test("objects of folders have no generations, and no condition names one", () => {
  const status = statusOf({ objects: [virtualService()] });
  assert.ok(!("observedGeneration" in status));
  assert.ok(status.conditions.every((condition) => !("observedGeneration" in condition)));
});

test("Services, pods and what others configure have no status of ours", () => {
  const object = { kind: "Service", namespace: "shop", name: "web" };
  assert.deepEqual(buildStatuses({ objects: [], findings: [finding({ object })], distributions: new Map() }), []);
});

test("a message is cut and holds no control characters", () => {
  const long = { proxy: "web-0.shop", message: `\u001b[31m${"x".repeat(5000)}` };
  const { conditions } = statusOf({ distribution: spread({ refused: 3, refusal: long }) });
  const message = conditions.find(({ type }) => type === "Programmed")?.message ?? "";
  assert.equal(message.length, 1024);
  assert.match(message, /^3 of 3 proxies refuse it and keep what they had; web-0\.shop: {2}\[31mxxx.*…$/);
});

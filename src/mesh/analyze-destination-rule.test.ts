import assert from "node:assert/strict";
import { test } from "node:test";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { istio, service } from "../../test/support/manifests.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { analyzeReferences } from "./analyze.ts";

const rule = (name: string, spec: object) => istio("DestinationRule", name, { host: "cart", ...spec });

/** `NAME FIELD`, of DestinationRules. */
function findingsOf(...manifests: string[]): string[] {
  return analyzeReferences(objectsOf(service({ name: "cart", ports: { http: 80 } }) + manifests.join("")))
    .filter(({ object }) => object?.kind === "DestinationRule")
    .map(({ object, field }) => `${object?.name} ${field}`);
}

test("of many rules for one host those are told of each other that say the same, and in no more than a moment", () => {
  const many = Array.from({ length: 1000 }, (_, index) =>
    rule(`r${1000 + index}`, { subsets: [{ name: index === 700 ? "s500" : `s${index}` }] }),
  );
  assert.deepEqual(
    withinCpuMs(3000, () => findingsOf(...many)),
    ["r1500 spec.subsets[0].name", "r1700 spec.subsets[0].name"],
  );
});

test("of many rules that all say the same each is told of some others", () => {
  const many = Array.from({ length: 100 }, (_, index) => rule(`r${index}`, { trafficPolicy: { retryBudget: {} } }));
  assert.equal(findingsOf(...many).length, 300);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type TrafficDistribution, trafficDistribution } from "./traffic-distribution.ts";

const ANNOTATION = "networking.istio.io/traffic-distribution";

const rows: [annotation: string, namespaceSays: string, field: string, expected: TrafficDistribution | undefined][] = [
  ["", "", "", undefined],
  ["", "", "PreferClose", "PreferSameZone"],
  ["", "", "PreferSameNode", "PreferSameNode"],
  ["PreferSameZone", "PreferSameZone", "PreferSameNode", "PreferSameNode"],
  ["PreferSameNode", "PreferSameZone", "", "PreferSameNode"],
  ["", "PreferSameNode", "", "PreferSameNode"],
  ["preferclose", "", "", "PreferSameZone"],
  ["", "PREFERSAMENODE", "", "PreferSameNode"],
  ["PreferSameNode", "", "preferclose", "PreferSameNode"],
  ["PreferMoon", "PreferSameNode", "", undefined],
  ["constructor", "", "constructor", undefined],
];

for (const [annotation, namespaceSays, field, expected] of rows) {
  const said = [field, annotation, namespaceSays].map((text) => text || "nothing").join(", ");
  test(`field, annotation and namespace say ${said}: ${expected ?? "none"}`, () => {
    const annotations: Record<string, string> = annotation === "" ? {} : { [ANNOTATION]: annotation };
    assert.equal(trafficDistribution({ annotations }, namespaceSays, field), expected);
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { readMeshSettings } from "./operator-settings.ts";

test("a MeshConfig says what its defaultConfig and its metrics are; the rest is not injection's", () => {
  const { config, warnings } = readMeshSettings(
    {
      trustDomain: "example.com",
      enablePrometheusMerge: false,
      accessLogFile: "/dev/stdout",
      defaultConfig: { discoveryAddress: "here:15012", concurrency: 4, nonsense: 1 },
    },
    "mesh.yaml",
  );
  assert.deepEqual(config, {
    discoveryAddress: "here:15012",
    mergeMetrics: false,
    proxyConfig: { discoveryAddress: "here:15012", concurrency: 4 },
  });
  assert.deepEqual(warnings, ["mesh.yaml: defaultConfig: ProxyConfig has no field nonsense, so it has no effect"]);
  assert.deepEqual(readMeshSettings(null, "mesh.yaml").config, { proxyConfig: {} });
});

const bad: readonly [title: string, read: () => unknown, message: RegExp][] = [
  ["text for a file", () => readMeshSettings("text", "m.yaml"), /^TrysailError: m\.yaml: the file must be a mapping/],
  [
    "a wrong type",
    () => readMeshSettings({ enablePrometheusMerge: "yes" }, "m.yaml"),
    /m\.yaml: enablePrometheusMerge must be true or false/,
  ],
  [
    "a bad ProxyConfig",
    () => readMeshSettings({ defaultConfig: { concurrency: "x" } }, "m.yaml"),
    /m\.yaml: defaultConfig: field concurrency/,
  ],
];
for (const [title, read, message] of bad) {
  test(`${title} is refused, naming the file and the field`, () => assert.throws(read, message));
}

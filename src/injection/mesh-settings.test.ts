import assert from "node:assert/strict";
import { test } from "node:test";
import { meshConfig } from "../../test/support/manifests.ts";
import { meshOf } from "../../test/support/mesh.ts";
import { decide } from "./decide.ts";
import { defaultInjectionConfig } from "./injection-config.ts";
import { createMeshSettings } from "./mesh-settings.ts";
import { parsePod } from "./review.ts";

const operator = {
  ...defaultInjectionConfig,
  proxyConfig: {
    concurrency: 1,
    drainDuration: "1s",
    terminationDrainDuration: "1s",
    proxyMetadata: { A: "1", B: "1" },
  },
};
const mesh = "defaultConfig: { concurrency: 2, drainDuration: 2s, proxyMetadata: { B: '2' } }";
const resource = { concurrency: 3 };

test("the pod wins over ProxyConfig resources, these over the mesh's defaultConfig, that over the injection config", () => {
  const settings = createMeshSettings(operator, () => meshOf(meshConfig(mesh)).config);
  const proxyConfigOf = (annotations: Record<string, string>, proxyConfig: object) => {
    const pod = parsePod({ metadata: { annotations }, spec: { containers: [{ name: "app" }] } });
    const decision = decide({ pod, namespace: "shop", proxyConfig, config: settings() });
    assert.ok(decision.inject);
    const found = /"name":"PROXY_CONFIG","value":("(?:[^"\\]|\\.)*")/.exec(JSON.stringify(decision.plan));
    const { discoveryAddress: _, ...rest } = JSON.parse(JSON.parse(found?.[1] ?? assert.fail("no PROXY_CONFIG")));
    return rest;
  };
  const common = { drainDuration: "2s", terminationDrainDuration: "1s", proxyMetadata: { A: "1", B: "2" } };
  assert.deepEqual(proxyConfigOf({}, {}), { concurrency: 2, ...common });
  assert.deepEqual(proxyConfigOf({}, resource), { concurrency: 3, ...common });
  assert.deepEqual(proxyConfigOf({ "proxy.istio.io/config": "concurrency: 4" }, resource), {
    concurrency: 4,
    ...common,
  });
});

test("enablePrometheusMerge of the mesh counts, where it says anything", () => {
  const merges = (yaml: string) => createMeshSettings(operator, () => meshOf(meshConfig(yaml)).config)().mergeMetrics;
  assert.deepEqual([merges("{}"), merges("enablePrometheusMerge: false")], [true, false]);
});

test("what a change of the mesh's configuration says holds for the next pod", () => {
  let current = meshOf(meshConfig(mesh)).config;
  const settings = createMeshSettings(operator, () => current);
  assert.equal(settings(), settings(), "worked out once");
  current = meshOf(meshConfig("defaultConfig: { concurrency: 7 }")).config;
  assert.equal(settings().proxyConfig.concurrency, 7);
});

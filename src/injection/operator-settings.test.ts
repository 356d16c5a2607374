import assert from "node:assert/strict";
import { test } from "node:test";
import { readInjectorValues, readMeshSettings } from "./operator-settings.ts";
import { interceptEverything } from "./pod-contract.ts";

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

test("Istio's values become settings, and what has no effect is named", () => {
  const { config, warnings } = readInjectorValues(
    {
      revision: "canary",
      global: {
        hub: "docker.io/istio",
        imagePullPolicy: "Always",
        imagePullSecrets: ["regcred"],
        meshID: "mesh1",
        network: "net1",
        multiCluster: { clusterName: "east" },
        proxy: {
          image: "example.com/envoy:v1.40.0",
          logLevel: "debug",
          excludeInboundPorts: 22,
          includeIPRanges: "10.0.0.0/8",
          resources: { requests: { cpu: 1, memory: "64Mi" } },
        },
        proxy_init: { image: "proxyv2" },
      },
      sidecarInjectorWebhook: { rewriteAppHTTPProbe: false, neverInjectSelector: [{ matchLabels: { job: "yes" } }] },
    },
    "values.yaml",
  );
  assert.deepEqual(config, {
    revision: "canary",
    imagePullPolicy: "Always",
    imagePullSecrets: ["regcred"],
    meshId: "mesh1",
    network: "net1",
    clusterId: "east",
    proxyImage: "example.com/envoy:v1.40.0",
    proxyLogLevel: "debug",
    resources: { requests: { cpu: "1", memory: "64Mi" }, limits: {} },
    rewriteAppProbes: false,
    neverInjectSelector: [{ matchLabels: { job: "yes" } }],
    interception: { ...interceptEverything, excludeInboundPorts: [22], includeOutboundRanges: ["10.0.0.0/8"] },
  });
  assert.deepEqual(warnings, ["values.yaml: global.hub has no effect on what is injected here"]);
});

test("values that say nothing change nothing", () => {
  for (const nothing of [null, {}, { global: {} }, { global: { proxy: {} } }]) {
    assert.deepEqual(readInjectorValues(nothing, "values.yaml"), { config: {}, warnings: [] });
  }
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
  [
    "a bad port",
    () => readInjectorValues({ global: { proxy: { excludeInboundPorts: "ssh" } } }, "v.yaml"),
    /v\.yaml: global\.proxy\.excludeInboundPorts: "ssh"/,
  ],
  [
    "a bad policy",
    () => readInjectorValues({ global: { imagePullPolicy: "Often" } }, "v.yaml"),
    /v\.yaml: global\.imagePullPolicy must be one of/,
  ],
];
for (const [title, read, message] of bad) {
  test(`${title} is refused, naming the file and the field`, () => assert.throws(read, message));
}

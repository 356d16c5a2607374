import assert from "node:assert/strict";
import { test } from "node:test";
import { meshConfig } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, setOf } from "../../test/support/mesh.ts";
import { defaultMeshConfig } from "./mesh-config.ts";
import { createSnapshotBuilder } from "./snapshot.ts";

const defaults = {
  ...defaultMeshConfig,
  trustDomain: "cluster.local",
  rootNamespaces: ["trysail-system", "istio-system"],
  domain: "cluster.local",
  enableAutoMtls: true,
  outboundTrafficPolicy: "ALLOW_ANY",
  trustDomainAliases: [],
  foreignAuthorities: [],
  inboundTrafficPolicy: "PASSTHROUGH",
  defaultServiceExportTo: [],
  defaultVirtualServiceExportTo: [],
  defaultDestinationRuleExportTo: [],
  protocolDetectionTimeout: null,
  connectTimeout: "10s",
  dnsRefreshRate: "60s",
  tcpKeepalive: null,
  isHttp2Upgraded: false,
  pathNormalization: "BASE",
  localityLb: null,
  discoverySelectors: [],
  databaseFilters: [],
  defaultHttpRetryPolicy: null,
  defaultConfig: null,
  enablePrometheusMerge: null,
};

type Row = [mesh: string, differs: object, findings: [severity: string, code: string, field: string][]];

const rows: Row[] = [
  ["", {}, []],
  ["{}", {}, []],
  ["outboundTrafficPolicy: { mode: REGISTRY_ONLY }", { outboundTrafficPolicy: "REGISTRY_ONLY" }, []],
  ["{ rootNamespace: ops, enableAutoMtls: false }", { rootNamespaces: ["ops"], enableAutoMtls: false }, []],
  ["{ rootNamespace: null }", {}, []],
  ["trustDomainAliases: [b, a, b]", { trustDomainAliases: ["a", "b"] }, []],
  ["trustDomainAliases: [cluster.local, Old.example]", { trustDomainAliases: ["Old.example"] }, []],
  ...['"*"', '"*.example"', "spiffe://a", "a/ns/shop", '"a b"', '"\u00fc"', '"\ud800"', "a".repeat(256)].map(
    (wrong): Row => [
      `trustDomainAliases: [a, ${wrong}]`,
      { trustDomainAliases: ["a"] },
      [["error", "value-invalid", "data.mesh.trustDomainAliases"]],
    ],
  ),
  ["inboundTrafficPolicy: { mode: LOCALHOST }", { inboundTrafficPolicy: "LOCALHOST" }, []],
  ["inboundTrafficPolicy: {}", {}, []],
  ['defaultServiceExportTo: ["."]', { defaultServiceExportTo: ["."] }, []],
  ['defaultVirtualServiceExportTo: ["."]', { defaultVirtualServiceExportTo: ["."] }, []],
  ['defaultDestinationRuleExportTo: ["."]', { defaultDestinationRuleExportTo: ["."] }, []],
  ["protocolDetectionTimeout: 100ms", { protocolDetectionTimeout: "100ms" }, []],
  ["{ connectTimeout: 1s, dnsRefreshRate: 5s }", { connectTimeout: "1s", dnsRefreshRate: "5s" }, []],
  ["connectTimeout: soon", {}, [["error", "schema-invalid", "data.mesh.connectTimeout"]]],
  ["tcpKeepalive: { time: 10s }", { tcpKeepalive: { time: "10s" } }, []],
  ["h2UpgradePolicy: UPGRADE", { isHttp2Upgraded: true }, []],
  ["pathNormalization: { normalization: MERGE_SLASHES }", { pathNormalization: "MERGE_SLASHES" }, []],
  ["pathNormalization: { normalization: DEFAULT }", {}, []],
  ["discoverySelectors: [{ matchLabels: { a: b } }]", { discoverySelectors: [{ matchLabels: { a: "b" } }] }, []],
  [
    "discoverySelectors: [{ matchLabel: { a: b } }]",
    { discoverySelectors: [{}] },
    [["warning", "field-unsupported", "data.mesh.discoverySelectors[0].matchLabel"]],
  ],
  ["localityLbSetting: { enabled: false }", { localityLb: { enabled: false } }, []],
  ["defaultHttpRetryPolicy: { attempts: 5 }", { defaultHttpRetryPolicy: { attempts: 5 } }, []],
  [
    "serviceSettings: [{ settings: { clusterLocal: true }, hosts: [A] }]",
    { clusterLocalHosts: [{ host: "a", isLocal: true }] },
    [],
  ],
  ["trysail: { databaseFilters: [REDIS, MONGO, REDIS] }", { databaseFilters: ["mongo", "redis"] }, []],
  ["trysail: { redis: true }", {}, [["warning", "field-unsupported", "data.mesh.trysail.redis"]]],
  [
    "trysail: { databaseFilters: [MONGO, ORACLE] }",
    {},
    [["error", "schema-invalid", "data.mesh.trysail.databaseFilters[1]"]],
  ],
  ["trustDomain: cluster.local", {}, []],
  ["trustDomain: other", {}, [["error", "value-invalid", "data.mesh.trustDomain"]]],
  ["accessLogFile: /dev/stdout", {}, [["warning", "field-unsupported", "data.mesh.accessLogFile"]]],
  ["toString: 1", {}, [["warning", "field-unsupported", "data.mesh.toString"]]],
  [
    "{ rootNamespace: 5, enableAutoMtls: false }",
    { enableAutoMtls: false },
    [["error", "schema-invalid", "data.mesh.rootNamespace"]],
  ],
  [
    "outboundTrafficPolicy: { mode: REGISTRY_ONLY, egressProxy: {} }",
    { outboundTrafficPolicy: "REGISTRY_ONLY" },
    [["warning", "field-unsupported", "data.mesh.outboundTrafficPolicy.egressProxy"]],
  ],
  [
    "outboundTrafficPolicy: { mode: NOTHING }",
    {},
    [["error", "schema-invalid", "data.mesh.outboundTrafficPolicy.mode"]],
  ],
  ["[", {}, [["error", "document-malformed", "data.mesh"]]],
  ["just text", {}, [["error", "schema-invalid", "data.mesh"]]],
  ["[a, b]", {}, [["error", "schema-invalid", "data.mesh"]]],
];

for (const [yaml, differs, findings] of rows) {
  test(`mesh config ${JSON.stringify(yaml)}`, () => {
    const mesh = meshOf(meshConfig(yaml));
    assert.deepEqual(mesh.config, { ...defaults, ...differs });
    assert.deepEqual(
      mesh.findings.map(({ severity, code, field }) => [severity, code, field]),
      findings,
    );
  });
}

test("defaultConfig is read field by field, and Istio's own control plane is not taken for ours", () => {
  const yaml = "enablePrometheusMerge: false\ndefaultConfig: { concurrency: 4, nonsense: 1, discoveryAddress: a:1 }";
  const ours = meshOf(meshConfig(yaml));
  assert.deepEqual(ours.config.defaultConfig, { concurrency: 4, discoveryAddress: "a:1" });
  assert.equal(ours.config.enablePrometheusMerge, false);
  assert.deepEqual(
    ours.findings.map(({ field }) => field),
    ["data.mesh.defaultConfig.nonsense"],
  );
  const theirs = meshOf(meshConfig(yaml).replace("trysail-system", "istio-system"));
  assert.deepEqual(theirs.config.defaultConfig, { concurrency: 4 });
  assert.ok(theirs.findings.some(({ field }) => field === "data.mesh.defaultConfig.discoveryAddress"));
  const ineffective = meshOf(
    meshConfig("defaultConfig: { proxyAdminPort: 1, tracing: { lightstep: { address: 'a:1' } } }"),
  );
  assert.deepEqual(
    ineffective.findings.map(({ field, severity }) => [field, severity]),
    [
      ["data.mesh.defaultConfig.proxyAdminPort", "warning"],
      ["data.mesh.defaultConfig.tracing.lightstep", "warning"],
    ],
  );
  const unstartable = meshOf(meshConfig("defaultConfig: { proxyStatsMatcher: { inclusionRegexps: ['a['] } }"));
  assert.equal(unstartable.config.defaultConfig, null);
  assert.deepEqual(
    unstartable.findings.map(({ field, severity }) => [field, severity]),
    [["data.mesh.defaultConfig.proxyStatsMatcher.inclusionRegexps[0]", "error"]],
  );
  const bad = meshOf(meshConfig("defaultConfig: { concurrency: x }"));
  assert.equal(bad.config.defaultConfig, null);
  assert.deepEqual(
    bad.findings.map(({ field }) => field),
    ["data.mesh.defaultConfig.concurrency"],
  );
});

test("databases of which stock Envoy knows nothing are warned of, and the others looked into", () => {
  const { config, findings } = meshOf(meshConfig("trysail: { databaseFilters: [MYSQL, REDIS, POSTGRES] }"));
  assert.deepEqual(config.databaseFilters, ["redis"]);
  assert.deepEqual(
    findings.map(({ severity, field }) => [severity, field]),
    [0, 2].map((at) => ["warning", `data.mesh.trysail.databaseFilters[${at}]`]),
  );
});

test("Istio's own ConfigMap is read too, and Trysail's comes before it", () => {
  const theirs = meshConfig("rootNamespace: theirs").replace("trysail-system", "istio-system");
  assert.deepEqual(meshOf(theirs).config.rootNamespaces, ["theirs"]);
  assert.deepEqual(meshOf(theirs + meshConfig("rootNamespace: ours")).config.rootNamespaces, ["ours"]);
  assert.deepEqual(meshOf(theirs.replace('"istio"', '"other"')).config.rootNamespaces, defaults.rootNamespaces);
});

test("what a mistake makes unreadable stays as it was, and what is taken out has its default again", () => {
  const snapshots = createSnapshotBuilder("cluster.local");
  const closed = "outboundTrafficPolicy: { mode: REGISTRY_ONLY }\nrootNamespace: ops";
  const policyAfter = (yaml: string) => {
    const { outboundTrafficPolicy, rootNamespaces } = snapshots.build(setOf(objectsOf(meshConfig(yaml)))).config;
    return [outboundTrafficPolicy, rootNamespaces[0]];
  };
  assert.deepEqual(policyAfter(closed), ["REGISTRY_ONLY", "ops"]);
  assert.deepEqual(policyAfter("outboundTrafficPolicy: {{"), ["REGISTRY_ONLY", "ops"]);
  assert.deepEqual(policyAfter("outboundTrafficPolicy: { mode: NOTHING }"), ["REGISTRY_ONLY", "trysail-system"]);
  assert.deepEqual(policyAfter("{}"), ["ALLOW_ANY", "trysail-system"]);
});

test("a ConfigMap that is emptied is told of and leaves its settings, and one that is deleted takes them away", () => {
  const snapshots = createSnapshotBuilder("cluster.local");
  const after = (text: string) => {
    const { config, findings } = snapshots.build(setOf(objectsOf(text)));
    return [
      config.outboundTrafficPolicy,
      ...findings.map(({ severity, object }) => `${severity} ${object?.namespace}`),
    ];
  };
  const closed = meshConfig("outboundTrafficPolicy: { mode: REGISTRY_ONLY }");
  const emptied = closed.replace('"mesh"', '"other"');
  assert.deepEqual(after(emptied), ["ALLOW_ANY"]);
  assert.deepEqual(after(closed), ["REGISTRY_ONLY"]);
  for (let times = 0; times < 2; times++) assert.deepEqual(after(emptied), ["REGISTRY_ONLY", "error trysail-system"]);
  assert.deepEqual(after(closed), ["REGISTRY_ONLY"]);
  assert.deepEqual(after(emptied), ["REGISTRY_ONLY", "error trysail-system"]);
  assert.deepEqual(after(""), ["ALLOW_ANY"]);
  assert.deepEqual(after(emptied), ["ALLOW_ANY"]);
  assert.deepEqual(after(closed), ["REGISTRY_ONLY"]);
  assert.deepEqual(after(""), ["ALLOW_ANY"]);
});

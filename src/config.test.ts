import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServeConfig, type ServeEnvironment, type ServeFlags } from "./config.ts";

const flags: ServeFlags = {
  configDir: [],
  stateDir: "/state",
  grpcAddr: ":15012",
  httpsAddr: ":15017",
  monitoringAddr: ":15014",
  httpAddr: ":8080",
  maxConnections: 10,
  maxConnectionsPerAddress: 5,
  trustDomain: "cluster.local",
  workloadCertTtl: 86_400_000,
  rootTtl: 365 * 86_400_000,
  rootPropagation: 1000,
  authenticator: [],
  tokenAudience: [],
  trustedNodeAccount: [],
  servingName: [],
  status: true,
  csrApproval: "own-identity",
  logLevel: "info",
};
const inPod: ServeEnvironment = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "6443" };

const sources: readonly [title: string, own: Partial<ServeFlags>, environment: ServeEnvironment, expected: unknown][] =
  [
    ["folders", { configDir: ["a", "b"] }, {}, { kind: "folders", dirs: ["a", "b"] }],
    ["folders, also in a pod", { configDir: ["a"] }, inPod, { kind: "folders", dirs: ["a"] }],
    ["a kubeconfig", { kubeconfig: "/k" }, {}, { kind: "kubeconfig", path: "/k" }],
    ["a kubeconfig, also in a pod", { kubeconfig: "/k" }, inPod, { kind: "kubeconfig", path: "/k" }],
    ["a pod's own cluster", {}, inPod, { kind: "in-cluster", host: "10.0.0.1", port: "6443" }],
  ];

for (const [title, own, environment, expected] of sources) {
  test(`the source may be ${title}`, () => {
    assert.deepEqual(parseServeConfig({ ...flags, ...own }, environment).source, expected);
  });
}

type Refused = readonly [title: string, own: Partial<ServeFlags>, message: RegExp];

const refusals: readonly Refused[] = [
  ["no source", {}, /^there is nothing to serve: .*--config-dir.*--kubeconfig/],
  [
    "more connections of one address than there may be",
    { configDir: ["a"], maxConnectionsPerAddress: 11 },
    /^--max-connections-per-address \(11\) is more than --max-connections \(10\)$/,
  ],
  ["two sources", { configDir: ["a"], kubeconfig: "/k" }, /exclude each other/],
];

for (const [title, own, message] of refusals) {
  test(`${title} is refused`, () => {
    assert.throws(() => parseServeConfig({ ...flags, ...own }, {}), { code: "invalid-argument", message });
  });
}

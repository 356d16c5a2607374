import assert from "node:assert/strict";
import { test } from "node:test";
import { Registry } from "prom-client";
import { defaultInjectionConfig } from "../injection/injection-config.ts";
import { parseObject } from "../mesh/parse-object.ts";
import { createSnapshotBuilder } from "../mesh/snapshot.ts";
import { createUnmeshedAudit, findUnmeshed } from "./unmeshed.ts";

const namespace = (name: string, labels: object) => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});
const app = { name: "app" };
const pod = (
  name: string,
  {
    metadata = {},
    spec = {},
    status = {},
    in: namespace = "shop",
  }: Partial<Record<"metadata" | "spec" | "status", object>> & { in?: string } = {},
) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace, ...metadata },
  spec: { containers: [app], ...spec },
  status,
});

function snapshot(...values: object[]) {
  const objects = values.flatMap((value) => {
    const { object, findings } = parseObject(value);
    assert.ok(object, JSON.stringify(findings));
    return [object];
  });
  return createSnapshotBuilder("cluster.local").build({ objects, findings: [] });
}

const enabled = namespace("shop", { "istio-injection": "enabled" });
const listed = (...values: object[]) =>
  findUnmeshed(snapshot(enabled, ...values), defaultInjectionConfig).map(({ namespace, pod }) => `${namespace}/${pod}`);

const cases: readonly [title: string, pod: object, isListed: boolean][] = [
  ["a pod without a sidecar where there should be one", pod("a", { status: { phase: "Running" } }), true],
  [
    "a pod that asks by itself",
    pod("a", { in: "plain", metadata: { labels: { "sidecar.istio.io/inject": "true" } } }),
    true,
  ],
  ["a pod with a native sidecar", pod("a", { spec: { initContainers: [{ name: "istio-proxy" }] } }), false],
  ["a pod with a classic sidecar", pod("a", { spec: { containers: [app, { name: "istio-proxy" }] } }), false],
  ["a pod that opted out", pod("a", { metadata: { labels: { "sidecar.istio.io/inject": "false" } } }), false],
  ["a pod on the host's network", pod("a", { spec: { hostNetwork: true } }), false],
  ["a pod of a namespace that does not ask", pod("a", { in: "plain" }), false],
  ["a pod of an ignored namespace", pod("a", { in: "kube-system" }), false],
  ["a pod that has ended", pod("a", { status: { phase: "Succeeded" } }), false],
  ["a pod that is being deleted", pod("a", { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }), false],
];
for (const [title, value, isListed] of cases) {
  test(`${title} is ${isListed ? "" : "not "}listed`, () => assert.equal(listed(value).length, isListed ? 1 : 0));
}

test("the metric follows the mesh, by namespace", async () => {
  const registry = new Registry();
  let mesh = snapshot(enabled, pod("a"), pod("b"));
  const audit = createUnmeshedAudit({ mesh: () => mesh, config: () => defaultInjectionConfig, registry });
  assert.match(await registry.metrics(), /^trysail_unmeshed_pods\{namespace="shop"\} 2$/m);
  mesh = snapshot(enabled, pod("b", { metadata: { creationTimestamp: "2026-01-01T00:00:00Z" } }));
  assert.deepEqual(audit(), [{ namespace: "shop", pod: "b", createdAt: "2026-01-01T00:00:00Z" }]);
  assert.match(await registry.metrics(), /^trysail_unmeshed_pods\{namespace="shop"\} 1$/m);
  mesh = snapshot(enabled);
  assert.doesNotMatch(await registry.metrics(), /^trysail_unmeshed_pods\{/m);
});

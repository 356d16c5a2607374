import assert from "node:assert/strict";
import { test } from "node:test";
import { meshOf } from "../../test/support/mesh.ts";
import { selectProxyConfig } from "./select-proxy-config.ts";

const resource = (namespace: string, name: string, spec: object, created = "2026-01-01T00:00:00Z") =>
  JSON.stringify({
    apiVersion: "networking.istio.io/v1beta1",
    kind: "ProxyConfig",
    metadata: { namespace, name, creationTimestamp: created },
    spec,
  });

const mesh = meshOf(
  [
    resource("istio-system", "mesh", { concurrency: 1, environmentVariables: { A: "mesh", B: "mesh" } }),
    resource("istio-system", "not-of-others", { selector: { matchLabels: { app: "web" } }, concurrency: 9 }),
    resource("shop", "all", { environmentVariables: { B: "shop" }, image: { imageType: "distroless" } }),
    resource("shop", "web", { selector: { matchLabels: { app: "web" } }, concurrency: 4 }, "2026-01-02T00:00:00Z"),
    resource("shop", "younger", { selector: { matchLabels: { app: "web" } }, concurrency: 5 }, "2026-01-03T00:00:00Z"),
    resource("other", "else", { concurrency: 7 }),
  ].join("\n---\n"),
);
const select = (namespace: string, labels: Record<string, string>) =>
  selectProxyConfig(mesh.proxyConfigsFor(namespace), namespace, labels);

test("a ProxyConfig holds for the mesh, a namespace or the pods it selects, the narrower over the wider", () => {
  assert.deepEqual(select("shop", { app: "web" }), {
    concurrency: 4,
    proxyMetadata: { A: "mesh", B: "shop" },
    image: { imageType: "distroless" },
  });
  assert.equal(select("shop", { app: "api" }).concurrency, 1);
  assert.deepEqual(select("elsewhere", { app: "web" }), { concurrency: 1, proxyMetadata: { A: "mesh", B: "mesh" } });
});

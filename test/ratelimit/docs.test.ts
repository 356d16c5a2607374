import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Registry } from "prom-client";
import { analyzeReferences } from "../../src/mesh/analyze.ts";
import { createRateLimitMetrics } from "../../src/ratelimit/rate-limit-metrics.ts";
import { assertEnvoyAccepts, configOf } from "../support/accepted.ts";
import { envoyMissing } from "../support/envoy.ts";
import { pod, service } from "../support/manifests.ts";
import { meshOf, objectsOf } from "../support/mesh.ts";

const page = readFileSync(new URL("../../docs/rate-limits.md", import.meta.url), "utf8");
const examples = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, yaml = ""]) => `---\n${yaml}`);
const around =
  pod({ name: "api-0", ip: "10.0.0.1", labels: { app: "api" } }) +
  service({ name: "api", ports: { http: 80, tcp: 81 } }) +
  service({ name: "trysail-ratelimit", namespace: "trysail-ratelimit", ports: { grpc: 8081 } });

test("docs/rate-limits.md has examples, and nothing is wrong with them", () => {
  assert.ok(examples.length >= 2);
  assert.deepEqual(analyzeReferences(objectsOf(around + examples.join(""))), []);
});

test("Envoy takes the examples of docs/rate-limits.md", { skip: envoyMissing() }, async () => {
  const configs = examples.map(
    (yaml, index) => [`example ${index}`, configOf(meshOf(around + yaml), "api-0.shop")] as const,
  );
  await assertEnvoyAccepts(new Map(configs));
});

test("docs/rate-limits.md names every metric of the service", () => {
  const registry = new Registry();
  createRateLimitMetrics(registry, () => true);
  for (const { name } of registry.getMetricsAsArray()) assert.ok(page.includes(`\`${name}\``), name);
});

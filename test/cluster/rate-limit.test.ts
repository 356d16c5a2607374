import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { RateLimitResponse_Code } from "../../src/gen/envoy/service/ratelimit/v3/rls_pb.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { startRateLimit } from "../../src/ratelimit/start-rate-limit.ts";
import { only, renderRelease } from "../chart/rendered.ts";
import { helmMissing, RATE_LIMIT_CHART } from "../support/helm.ts";
import { rateLimitClient } from "../support/rate-limits.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { accountKubeconfig, podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const CRD = new URL("../../charts/trysail/files/crds/ratelimit.yaml", import.meta.url);
const RATE_LIMITS = "/apis/trysail.dev/v1alpha1/namespaces/shop/ratelimits";
const LOCAL = { host: "127.0.0.1", port: 0 };

const rateLimit = (amount: unknown) => ({
  apiVersion: "trysail.dev/v1alpha1",
  kind: "RateLimit",
  metadata: { name: "api" },
  spec: {
    selector: { matchLabels: { app: "api" } },
    requests: [{ name: "all", scope: "GLOBAL", rate: { amount, unit: "MONTH" }, by: [{ header: "x-user" }] }],
    connections: [{ name: "new", scope: "PROXY", rate: { amount: 9, unit: "SECOND", burst: 10 }, ports: [8080] }],
    exceeded: { status: 429, body: "no", headers: { "x-why": "limits" } },
    service: { failureMode: "DENY", timeout: "50ms" },
  },
});

test("RateLimits of a real API server are counted by an account with the chart's rights", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await create(kubernetes, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", parse(readFileSync(CRD, "utf8")));
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  await create(kubernetes, RATE_LIMITS, rateLimit(2));

  const stored = await kubernetes.call("GET", `${RATE_LIMITS}/api`);
  assert.deepEqual(stored.body.spec, rateLimit(2).spec, "the CRD drops nothing");
  const refused = await kubernetes.call("POST", RATE_LIMITS, { ...rateLimit("many"), metadata: { name: "wrong" } });
  assert.equal(refused.status, 422, JSON.stringify(refused.body));

  const { rules } = only(
    await renderRelease("ratelimit", RATE_LIMIT_CHART, "ratelimit", { inMemory: true, replicas: 1 }),
    "ClusterRole",
  );
  await podClient(t, kubernetes, { name: "ratelimit", rules });
  const path = await accountKubeconfig(t, kubernetes, "ratelimit");
  const warnings: string[] = [];
  const log = createLog("warn", { write: (line) => void warnings.push(line) });
  const config = { source: { kind: "kubeconfig", path }, redisUrl: null, grpc: LOCAL, monitoring: LOCAL } as const;
  const running = await startRateLimit(config, { clock: systemClock, log });
  t.after(() => running.stop());
  const client = rateLimitClient(t, running.ports.grpc);
  const entries = [
    { key: "limit", value: "all" },
    { key: "header:x-user", value: "ann" },
  ];
  const ask = (hitsAddend: bigint) => client.ask({ domain: "shop/api", descriptors: [{ entries, hitsAddend }] });
  const amount = async () => (await ask(0n)).statuses[0]?.currentLimit?.requestsPerUnit;

  await until("the limit", async () => (await amount()) === 2);
  const { OK, OVER_LIMIT } = RateLimitResponse_Code;
  const codes = [await ask(1n), await ask(1n), await ask(1n)].map(({ overallCode }) => overallCode);
  assert.deepEqual(codes, [OK, OK, OVER_LIMIT]);

  const more = { spec: { requests: rateLimit(3).spec.requests } };
  await kubernetes.call("PATCH", `${RATE_LIMITS}/api`, more, "application/merge-patch+json");
  await until("the change", async () => (await amount()) === 3);
  assert.equal((await ask(1n)).overallCode, OK);
  await kubernetes.call("DELETE", `${RATE_LIMITS}/api`);
  await until("the deletion", async () => (await amount()) === undefined);
  assert.deepEqual(warnings, []);
});

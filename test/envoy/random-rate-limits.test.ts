import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";
import { parseObject } from "../../src/mesh/parse-object.ts";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { assertEnvoyAccepts, configOf } from "../support/accepted.ts";
import { envoyMissing } from "../support/envoy.ts";
import { pod, service } from "../support/manifests.ts";
import { objectsOf, setOf } from "../support/mesh.ts";
import { rateLimitSpec } from "../support/random-rate-limit.ts";

const around = objectsOf(
  pod({ name: "app-0", ip: "10.1.0.1", labels: { app: "a" } }) +
    service({ name: "a", ports: { http: 80, grpc: 8080 }, clusterIP: "10.96.0.1" }),
);

function configWith(spec: object): JsonObject | null {
  const document = {
    apiVersion: "trysail.dev/v1alpha1",
    kind: "RateLimit",
    metadata: { name: "any", namespace: "shop" },
    spec,
  };
  const { object, findings } = parseObject(structuredClone(document));
  assert.equal(
    object === undefined,
    findings.some(({ severity }) => severity === "error"),
  );
  if (object === undefined) return null;
  return configOf(createSnapshotBuilder("cluster.local").build(setOf([...around, object])), "app-0.shop");
}

test("Envoy takes what is made of any RateLimit that is not refused", { skip: envoyMissing() }, async () => {
  const configs = new Map<string, JsonObject>();
  fc.assert(
    fc.property(rateLimitSpec, (spec) => {
      const config = configWith(spec);
      if (config !== null) configs.set(JSON.stringify(spec), config);
    }),
    { numRuns: 10_000 },
  );
  // By chance it is 150, with a standard deviation of 12.
  assert.ok(configs.size > 20, `only ${configs.size} of them were taken`);
  await assertEnvoyAccepts(new Map([...configs].slice(0, 200)));
});

test("no RateLimit, however odd, makes the parser throw or an object that is wrong in use", () => {
  const odd = fc.oneof(rateLimitSpec, fc.object(), fc.anything());
  fc.assert(
    fc.property(odd, (spec) => {
      const { object, findings } = parseObject({
        apiVersion: "trysail.dev/v1alpha1",
        kind: "RateLimit",
        metadata: { name: "any", namespace: "shop" },
        spec,
      });
      assert.ok(object !== undefined || findings.length > 0);
    }),
    { numRuns: 2000 },
  );
});

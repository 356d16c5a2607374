import assert from "node:assert/strict";
import { test } from "node:test";
import { buildDefaultMeshConfig } from "../../mesh/mesh-config.ts";
import { parseObject } from "../../mesh/parse-object.ts";
import { buildWorkload } from "../workload.ts";
import { buildAuthorization } from "./authorization.ts";

const config = buildDefaultMeshConfig("cluster.local", "trysail-system");
const workload = buildWorkload("shop", {}, []);

function filtersFor(action: string, annotations: object): number {
  const { object } = parseObject({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "it", namespace: "shop", annotations },
    spec: { action, rules: [{}] },
  });
  assert.equal(object?.kind, "AuthorizationPolicy");
  const { http, network } = buildAuthorization([object], workload, config);
  return http.length + network.length;
}

for (const action of ["ALLOW", "DENY"]) {
  test(`a dry run of a policy to ${action} neither refuses nor allows anything`, () => {
    for (const value of ["true", "1", "T"]) assert.equal(filtersFor(action, { "istio.io/dry-run": value }), 0, value);
  });

  test(`a policy to ${action} that is no dry run holds`, () => {
    for (const value of ["false", "0", "perhaps", ""]) {
      assert.equal(filtersFor(action, { "istio.io/dry-run": value }), 2, value);
    }
    assert.equal(filtersFor(action, {}), 2);
  });
}

test("whoever writes a dry run is told what it does not do", () => {
  const { findings } = parseObject({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "it", namespace: "shop", annotations: { "istio.io/dry-run": "true" } },
  });
  assert.deepEqual(
    findings.map(({ code, field }) => [code, field]),
    [["value-invalid", 'metadata.annotations["istio.io/dry-run"]']],
  );
});

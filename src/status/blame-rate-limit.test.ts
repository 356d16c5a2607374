import assert from "node:assert/strict";
import { test } from "node:test";
import { pod, service } from "../../test/support/manifests.ts";
import { meshOf, objectsOf, resourcesFor } from "../../test/support/mesh.ts";
import { rateLimit } from "../../test/support/rate-limits.ts";
import type { ProxyNode } from "../xds/node.ts";
import { TYPE_URL } from "../xds/resource-set.ts";
import { blameRefusals } from "./blame.ts";

const limit = (amount: number) => ({ name: "a", scope: "PROXY", rate: { amount, unit: "DAY" } });
const yaml = (requests: number, connections: number) =>
  pod({ name: "api-0", ip: "10.0.0.1", labels: { app: "api" } }) +
  service({ name: "api", ports: { http: 80, tcp: 81 } }) +
  rateLimit("requests", { requests: [limit(requests)] }) +
  rateLimit("connections", { connections: [limit(connections)] });

function inboundListener(text: string) {
  const listener = resourcesFor(meshOf(text), "api-0.shop").get(TYPE_URL.listener)?.byName.get("virtualInbound");
  assert.ok(listener !== undefined);
  return listener;
}

test("what a proxy refuses of a listener is told on the RateLimit that changed it", () => {
  const before = inboundListener(yaml(1, 1));
  for (const [changed, text] of [
    ["requests", yaml(2, 1)],
    ["connections", yaml(1, 2)],
  ] as const) {
    const refusal = {
      typeUrl: TYPE_URL.listener,
      refused: inboundListener(text),
      kept: before,
      isNamed: true,
      message: "no",
    };
    const proxy: ProxyNode = {
      ...{ id: "sidecar~10.0.0.1~api-0.shop~shop.svc.cluster.local", type: "sidecar" },
      ...{ name: "api-0", namespace: "shop", ipAddress: "10.0.0.1", labels: {}, metadata: {} },
    };
    const progress = { proxy, connectedSinceMs: 0, behindSinceMs: null, refusals: [refusal] };
    const objects = objectsOf(text);
    const blamed = blameRefusals([progress], objects);
    const guilty = objects.filter((object) => blamed.of(object) !== undefined).map(({ metadata }) => metadata.name);
    assert.deepEqual(guilty, [changed]);
  }
});

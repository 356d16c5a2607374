import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProxyNode } from "../xds/node.ts";
import { TYPE_URL } from "../xds/resource-set.ts";
import { createMeshFindings } from "./mesh-findings.ts";

const proxy = (name: string): ProxyNode => ({
  id: `sidecar~10.0.0.1~${name}.shop~shop.svc.cluster.local`,
  type: "sidecar",
  ipAddress: "10.0.0.1",
  name,
  namespace: "shop",
  metadata: {},
  labels: {},
});

test("a rejection is a finding until the proxy accepts the type or goes", () => {
  const findings = createMeshFindings();
  const [a, b] = [proxy("a"), proxy("b")];
  findings.rejected(a, TYPE_URL.listener, "1", "bad listener");
  findings.rejected(a, TYPE_URL.route, "1", "bad route");
  findings.rejected(b, TYPE_URL.route, "1", "bad route");
  const names = () => findings.all().map(({ object, message }) => `${object?.name} ${message.split(": ")[1]}`);
  assert.deepEqual(names(), ["a bad listener", "a bad route", "b bad route"]);
  findings.acked(a, TYPE_URL.listener, "2");
  assert.deepEqual(names(), ["a bad route", "b bad route"]);
  findings.disconnected(a);
  assert.deepEqual(names(), ["b bad route"]);
  findings.disconnected(b);
  assert.deepEqual(names(), []);
});

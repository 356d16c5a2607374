import assert from "node:assert/strict";
import { test } from "node:test";
import { istio, pod } from "../../test/support/manifests.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { objectsOf } from "../../test/support/mesh.ts";
import { buildDefaultMeshConfig } from "../mesh/mesh-config.ts";
import type { Distributions } from "../status/distribution.ts";
import type { ProxyProgress } from "../xds/proxy-progress.ts";
import { createObjectStatuses } from "./object-statuses.ts";

const route = (name: string) =>
  istio("VirtualService", name, { hosts: [`${name}.test`], http: [{ directResponse: { status: 200 } }] });

function proxy(behindSinceMs: number | null): ProxyProgress {
  const node = { id: "sidecar~10.0.0.1~web.shop~", name: "web", namespace: "shop", ipAddress: "10.0.0.1" };
  return {
    proxy: { ...node, type: "sidecar", metadata: {}, labels: {} },
    ...{ connectedSinceMs: 0, behindSinceMs, refusals: [] },
  };
}

function statusesOf() {
  const clock = createManualClock(100_000);
  const config = buildDefaultMeshConfig("cluster.local", "trysail-system");
  let behindSinceMs: number | null = null;
  let elsewhere: readonly Distributions[] = [];
  const statuses = createObjectStatuses({
    ...{ clock, config: () => config, elsewhere: () => elsewhere },
    progress: () => [proxy(behindSinceMs)],
  });
  return {
    ...{ statuses, clock },
    change(yaml: string) {
      const objects = objectsOf(yaml);
      statuses.meshChanged(objects);
      statuses.setFindings([], objects);
    },
    fallBehind(sinceMs: number | null) {
      behindSinceMs = sinceMs;
    },
    tellElsewhere(others: readonly Distributions[]) {
      elsewhere = others;
    },
    reconciled: () =>
      Object.fromEntries(
        statuses
          .current()
          .map(({ object, conditions }) => [
            object.name,
            conditions.find(({ type }) => type === "Reconciled")?.message,
          ]),
      ),
  };
}

test("the answer is the same list until an object, a finding or a proxy changes", () => {
  const { statuses, change, fallBehind } = statusesOf();
  change(route("a"));
  const before = statuses.current();
  assert.equal(statuses.current(), before);
  fallBehind(5);
  assert.notEqual(statuses.current(), before);
});

test("a proxy that lags has what is older than its lag, and lacks what is younger", () => {
  const { statuses, clock, fallBehind, reconciled } = statusesOf();
  const objects = objectsOf(route("a") + route("b"));
  const [a, b] = objects;
  assert.ok(a && b);
  statuses.meshChanged([a]);
  clock.advance(1000);
  fallBehind(clock.now());
  statuses.meshChanged([a, b]);
  statuses.setFindings([], [a, b]);
  assert.deepEqual(reconciled(), { a: "1 of 1 proxy up to date", b: "0 of 1 proxy up to date" });
  fallBehind(null);
  assert.deepEqual(reconciled(), { a: "1 of 1 proxy up to date", b: "1 of 1 proxy up to date" });
});

test("what changes beside an object makes it no younger", () => {
  const { statuses, clock, fallBehind, reconciled } = statusesOf();
  const [a] = objectsOf(route("a"));
  const pods = (ip: string) => objectsOf(pod({ name: "web", ip }));
  assert.ok(a);
  statuses.meshChanged([...pods("10.0.0.1"), a]);
  statuses.setFindings([], [a]);
  clock.advance(1000);
  fallBehind(clock.now());
  statuses.meshChanged([...pods("10.0.0.2"), a]);
  assert.deepEqual(reconciled(), { a: "1 of 1 proxy up to date" });
});

test("proxies of other replicas count", () => {
  const { change, tellElsewhere, reconciled } = statusesOf();
  change(route("a"));
  const told = { generation: null, proxies: 3, reached: 2, refused: 0, refusal: null };
  tellElsewhere([new Map([["VirtualService shop/a", told]])]);
  assert.deepEqual(reconciled(), { a: "3 of 4 proxies up to date" });
});

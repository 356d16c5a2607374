import assert from "node:assert/strict";
import { test } from "node:test";
import { createObjectStatuses } from "../../src/control-plane/object-statuses.ts";
import { startStatusWriting } from "../../src/control-plane/status-writing.ts";
import { createKubernetesSource } from "../../src/kubernetes/kubernetes-source.ts";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient, podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

/** How much is written on a real API server, and what is not allowed to be. */

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SHOP = "/apis/networking.istio.io/v1/namespaces/shop";
const OBJECTS = 1000;
const LIMITS = { perSecond: 200, burst: 50 };
const SLOW = { timeoutMs: 120_000, everyMs: 100 };

test("statuses of many objects", { skip, timeout: 240_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  const rules = [
    { apiGroups: [""], resources: ["configmaps", "namespaces", "nodes", "pods", "services"], verbs: ["list", "watch"] },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
    {
      apiGroups: ["networking.istio.io", "security.istio.io", "trysail.dev"],
      resources: ["*"],
      verbs: ["list", "watch"],
    },
  ];
  const mayWrite = { apiGroups: ["networking.istio.io"], resources: ["virtualservices/status"], verbs: ["patch"] };
  const client = await podClient(t, kubernetes, { name: "trysail", rules });
  const admin = await adminClient(t, kubernetes);
  await until("the role to hold", () => client.list("/api/v1/services").next());

  const warnings: string[] = [];
  const common = {
    clock: systemClock,
    random: systemRandom,
    log: createLog("warn", { write: (line) => void warnings.push(line) }),
  };
  const source = createKubernetesSource({ client, ...common });
  t.after(() => source.stop());
  await source.start();
  const config = createSnapshotBuilder("cluster.local").build(source.current()).config;
  const statuses = createObjectStatuses({
    clock: systemClock,
    config: () => config,
    progress: () => [],
    elsewhere: () => [],
  });
  let changes = 0;
  source.onChange(({ objects, findings }) => {
    changes++;
    statuses.meshChanged(objects);
    statuses.setFindings(findings, objects);
  });
  const writes: number[] = [];
  const start = () =>
    startStatusWriting({
      ...{ client, ...common, statuses, limits: LIMITS, served: () => source.served() },
      reports: { lead: () => () => {} },
      metrics: { written: (result) => void (result === "written" && writes.push(performance.now())) },
    });
  const stopFirst = start();
  t.after(stopFirst);

  await t.test("a right that is missing is said once, by name, and kinds that may be written are", async () => {
    await create(kubernetes, `${SHOP}/virtualservices`, route("first"));
    await create(kubernetes, `${SHOP}/destinationrules`, {
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { name: "first" },
      spec: { host: "web.test" },
    });
    await until("both to be told of", () => warnings.length >= 2);
    assert.deepEqual(warnings.map((line) => /may not patch (\S+):/.exec(line)?.[1]).toSorted(), [
      "destinationrules/status.networking.istio.io",
      "virtualservices/status.networking.istio.io",
    ]);
    stopFirst();
    await client.setRules([...rules, mayWrite]);
    const status = `${SHOP}/virtualservices/first/status`;
    await until("the right to hold", () =>
      client.patch(status, { type: "merge", object: {} }, { query: { dryRun: "All" } }),
    );
    t.after(start());
    await until("the one that may be written", () => writes.length === 1, SLOW);
    assert.equal(warnings.filter((line) => line.includes("virtualservices/status")).length, 1);
  });

  await t.test(`${OBJECTS} objects are written once each, no faster than allowed, and translate nothing`, async () => {
    writes.length = 0;
    await inParallel(OBJECTS, (i) => create(kubernetes, `${SHOP}/virtualservices`, route(`web-${i}`)));
    const routes = () => source.current().objects.filter(({ kind }) => kind === "VirtualService").length;
    await until("all to be known", () => routes() === OBJECTS + 1, SLOW);
    const known = changes;
    await until("all to be written", async () => (await withStatus()) >= OBJECTS, SLOW);
    // What is written later is written behind all of these.
    await create(kubernetes, `${SHOP}/virtualservices`, route("last"));
    await until("the last one", () => writes.length > OBJECTS, SLOW);
    assert.equal(writes.length, OBJECTS + 1);
    for (const [at, time] of writes.entries()) {
      const within = writes.slice(at).filter((later) => later - time <= 1000).length;
      assert.ok(within <= LIMITS.perSecond + LIMITS.burst + 10, `${within} writes within a second`);
    }
    assert.equal(changes, known + 1, "but for the last object nothing changed for the mesh");
    const tookMs = (writes.at(-2) ?? 0) - (writes[0] ?? 0);
    t.diagnostic(`${OBJECTS} statuses within ${tookMs.toFixed(0)} ms`);
  });

  async function withStatus(): Promise<number> {
    let count = 0;
    for await (const { items } of admin.list(`${SHOP}/virtualservices`)) {
      count += items.filter(({ metadata, status }) => metadata.name?.startsWith("web-") && status !== undefined).length;
    }
    return count;
  }
});

function route(name: string): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name },
    spec: { hosts: [`${name}.test`], http: [{ directResponse: { status: 200 } }] },
  };
}

async function inParallel(count: number, make: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await make(next++);
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

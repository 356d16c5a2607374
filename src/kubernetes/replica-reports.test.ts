import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { isRecord } from "../mesh/conform.ts";
import { TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import type { Distributions } from "../status/distribution.ts";
import { DISTRIBUTIONS } from "../status/distribution-report.ts";
import type { KubernetesObject } from "./object.ts";
import { createReplicaReports, type ReplicaReportsDeps } from "./replica-reports.ts";
import type { WatchEvent } from "./watch-events.ts";

const reached = (count: number): Distributions =>
  new Map([["VirtualService shop/web", { generation: 1, proxies: 9, reached: count, refused: 0, refusal: null }]]);

/** ConfigMaps of one namespace, as an API server keeps them. */
function playedCluster(clock: ManualClock) {
  const maps = new Map<string, KubernetesObject>();
  const watchers = new Set<(event: WatchEvent) => void>();
  let version = 0;
  let writes = 0;
  let answering = Promise.resolve();
  const tell = (event: WatchEvent) => {
    for (const watcher of watchers) watcher(event);
  };
  const nameIn = (path: string) => path.slice(path.lastIndexOf("/") + 1);
  return {
    names: () => [...maps.keys()],
    writes: () => writes,
    maps,
    client: {
      async *list() {
        yield { items: [...maps.values()], resourceVersion: String(version), more: false };
      },
      async watch(_path: string, { signal }: { signal?: AbortSignal }) {
        const queue: WatchEvent[] = [];
        let wake = () => {};
        const watcher = (event: WatchEvent) => {
          queue.push(event);
          wake();
        };
        watchers.add(watcher);
        return (async function* () {
          while (signal?.aborted !== true) {
            for (const event of queue.splice(0)) yield event;
            if (queue.length > 0) continue;
            await new Promise<void>((resolve) => {
              wake = resolve;
              signal?.addEventListener("abort", () => resolve());
            });
          }
          watchers.delete(watcher);
        })();
      },
      async patch(path: string, { object }: { object: object } | { operations: readonly object[]; object?: never }) {
        assert.ok(object !== undefined && isRecord(object));
        await answering;
        writes++;
        const held: KubernetesObject = {
          ...object,
          metadata: { name: nameIn(path), resourceVersion: String(++version) },
        };
        maps.set(nameIn(path), held);
        tell({ type: "MODIFIED", object: held });
        return held;
      },
      async delete(path: string, preconditions?: { resourceVersion?: string }) {
        const held = maps.get(nameIn(path));
        if (held === undefined) throw new TrysailError("not-found", "played");
        const { resourceVersion } = preconditions ?? {};
        if (resourceVersion !== undefined && resourceVersion !== held.metadata.resourceVersion) {
          throw new TrysailError("aborted", "played");
        }
        maps.delete(nameIn(path));
        tell({ type: "DELETED", object: held });
      },
    },
    /** Writes wait until it goes on, which is what this answers. */
    hang(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      answering = promise;
      return resolve;
    },
    async pass(ms: number) {
      for (let i = 0; i < ms; i += 500) {
        clock.advance(500);
        for (let j = 0; j < 20; j++) await turn();
      }
    },
  };
}

function meshOf(t: TestContext) {
  const clock = createManualClock(0);
  const cluster = playedCluster(clock);
  let made = 0;
  const replica = (
    instance: string,
    initial: Distributions,
    {
      among = "revision",
      revision = "default",
    }: Partial<Pick<ReplicaReportsDeps<Distributions>, "among" | "revision">> = {},
  ) => {
    let distributions = initial;
    const reports = createReplicaReports({
      ...{ client: cluster.client, clock, instance, namespace: "trysail-system", revision },
      ...{ subject: DISTRIBUTIONS, among },
      random: { fraction: () => 0, bytes: (length) => new Uint8Array(length).fill(++made) },
      log: createLog("silent"),
      current: () => distributions,
    });
    t.after(() => reports.stop());
    return {
      ...reports,
      set(changed: Distributions) {
        distributions = changed;
      },
    };
  };
  return { clock, cluster, replica };
}

test("the leader knows what the others tell, and tells nothing itself", async (t) => {
  const { cluster, replica } = meshOf(t);
  const [leader, other] = [replica("a", reached(1)), replica("b", reached(2))];
  t.after(leader.lead());
  await cluster.pass(3000);
  assert.deepEqual(cluster.names(), ["trysail-status-b-02020202"]);
  assert.deepEqual(leader.elsewhere(), [reached(2)]);
  assert.deepEqual(other.elsewhere(), []);
  other.set(reached(3));
  await cluster.pass(2500);
  assert.deepEqual(leader.elsewhere(), [reached(3)]);
});

test("what stays as it is, is written every ten seconds and no more", async (t) => {
  const { cluster, replica } = meshOf(t);
  replica("b", reached(2));
  await cluster.pass(60_000);
  assert.ok(cluster.writes() >= 5 && cluster.writes() <= 7, `${cluster.writes()} writes in a minute`);
});

test("the same list is answered while nothing changes", async (t) => {
  const { cluster, replica } = meshOf(t);
  const leader = replica("a", reached(1));
  replica("b", reached(2));
  t.after(leader.lead());
  await cluster.pass(3000);
  const before = leader.elsewhere();
  assert.equal(before.length, 1);
  const writes = cluster.writes();
  await cluster.pass(25_000);
  assert.ok(cluster.writes() > writes, "it was renewed meanwhile");
  assert.equal(leader.elsewhere(), before);
});

test("the report of a replica that died is forgotten and deleted, that of one that stops at once", async (t) => {
  const { cluster, replica } = meshOf(t);
  const leader = replica("a", reached(1));
  const stopping = replica("b", reached(2));
  t.after(leader.lead());
  await cluster.pass(500);
  await cluster.client.patch("/trysail-status-dead-ff", { object: { data: { "report.json": "[]" } } });
  await cluster.pass(3000);
  assert.equal(leader.elsewhere().length, 2);
  await cluster.pass(32_000);
  assert.deepEqual(cluster.names(), ["trysail-status-b-02020202"]);
  assert.deepEqual(leader.elsewhere(), [reached(2)]);
  await stopping.stop();
  await cluster.pass(500);
  assert.deepEqual([cluster.names(), leader.elsewhere()], [[], []]);
});

test("whoever begins to lead takes its report back, and tells again once it no longer leads", async (t) => {
  const { cluster, replica } = meshOf(t);
  const one = replica("a", reached(1));
  await cluster.pass(3000);
  assert.equal(cluster.names().length, 1);
  const end = one.lead();
  await cluster.pass(3000);
  assert.deepEqual([cluster.names(), one.elsewhere()], [[], []]);
  end();
  await cluster.pass(3000);
  assert.equal(cluster.names().length, 1);
});

test("a report that is on its way when its replica stops, or begins to lead, is not left behind", async (t) => {
  const { cluster, replica } = meshOf(t);
  const [stopping, leader] = [replica("a", reached(1)), replica("b", reached(2))];
  const goOn = cluster.hang();
  await cluster.pass(3000);
  const stopped = stopping.stop();
  t.after(leader.lead());
  goOn();
  await stopped;
  await cluster.pass(3000);
  assert.deepEqual([cluster.writes(), cluster.names()], [2, []]);
});

test("a ConfigMap that is no report counts for nothing", async (t) => {
  const { cluster, replica } = meshOf(t);
  const leader = replica("a", reached(1));
  t.after(leader.lead());
  await cluster.pass(500);
  for (const [name, text] of [
    ["odd", '[["x"]]'],
    ["good", "[]"],
  ]) {
    await cluster.client.patch(`/trysail-status-${name}-ff`, { object: { data: { "report.json": text } } });
  }
  await cluster.pass(1000);
  assert.deepEqual(leader.elsewhere(), [new Map()], "of the good one");
});

test("peers hear each other while they tell, of every revision, and know when one is gone", async (t) => {
  const { clock, cluster, replica } = meshOf(t);
  const one = replica("a", reached(1), { among: "namespace" });
  const other = replica("b", reached(2), { among: "namespace", revision: "canary" });
  assert.match(one.unheard() ?? "", /is not read yet$/);
  t.after(one.follow());
  t.after(other.follow());
  await cluster.pass(3000);
  assert.deepEqual([one.elsewhere(), other.elsewhere()], [[reached(2)], [reached(1)]]);
  assert.deepEqual([one.unheard(), one.lastGoneAt()], [null, 0]);
  await other.stop();
  await cluster.pass(500);
  assert.deepEqual(one.elsewhere(), []);
  assert.ok(one.lastGoneAt() > 0 && one.lastGoneAt() <= clock.now());
});

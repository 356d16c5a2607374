import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import { type LeaderTiming, startLeaderElection } from "./leader-election.ts";
import type { KubernetesObject } from "./object.ts";

const HOUR_MS = 3_600_000;
const LEASE = { namespace: "trysail-system", name: "trysail-leader" };

/** One Lease as an API server keeps it, and replicas that compete for it in the same time. */
function election(startMs = 0, timing?: LeaderTiming) {
  const clock = createManualClock(startMs);
  let stored: KubernetesObject | undefined;
  let version = 0;
  const leading: string[] = [];
  /** Replicas whose pods have gone, and those that somebody asked about. */
  const gone = new Set<string>();
  const asked = new Set<string>();

  const store = (object: object): KubernetesObject => {
    stored = { ...object, metadata: { ...LEASE, resourceVersion: String(++version) } };
    return stored;
  };
  return {
    clock,
    leading,
    gone,
    asked,
    holder: () => JSON.parse(JSON.stringify(stored)).spec.holderIdentity,
    transitions: () => JSON.parse(JSON.stringify(stored)).spec.leaseTransitions,
    replica(t: TestContext, identity: string) {
      let isCutOff = false;
      let isSilent = false;
      const reach = async (signal: AbortSignal | undefined): Promise<void> => {
        if (isCutOff) throw new TrysailError("unavailable", "cut off");
        // As on a connection that leads nowhere: only whoever asks can end it.
        if (isSilent) await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      };
      const elected = startLeaderElection({
        clock,
        log: createLog("silent"),
        lease: LEASE,
        identity,
        client: {
          async get(_path, options) {
            await reach(options?.signal);
            if (stored === undefined) throw new TrysailError("not-found", "none");
            return stored;
          },
          async create(_path, object, options) {
            await reach(options?.signal);
            if (stored !== undefined) throw new TrysailError("already-exists", "there");
            return store(object);
          },
          async replace(_path, object, options) {
            await reach(options?.signal);
            const { metadata } = JSON.parse(JSON.stringify(object));
            if (metadata.resourceVersion !== stored?.metadata.resourceVersion) {
              throw new TrysailError("aborted", "conflict");
            }
            return store(object);
          },
        },
        async isGone(one) {
          asked.add(one);
          return gone.has(one);
        },
        ...(timing && { timing }),
        lead() {
          leading.push(identity);
          return () => leading.splice(leading.indexOf(identity), 1);
        },
      });
      t.after(() => elected.stop());
      return {
        ...elected,
        cutOff(now: boolean) {
          isCutOff = now;
        },
        silence(now: boolean) {
          isSilent = now;
        },
      };
    },
    /** Second by second, and at most one leader at each. */
    async pass(seconds: number) {
      for (let i = 0; i <= seconds; i++) {
        for (let j = 0; j < 10; j++) await turn();
        assert.ok(leading.length <= 1, `${leading.join(" and ")} lead at once`);
        if (i < seconds) clock.advance(1000);
      }
    },
  };
}

test("of several replicas one leads, for as long as it lives", async (t) => {
  const { replica, pass, leading } = election();
  const [a, b] = [replica(t, "a"), replica(t, "b")];
  await pass(60);
  assert.deepEqual(leading, ["a"]);
  assert.deepEqual([a.isLeader(), b.isLeader()], [true, false]);
});

test("a leader that stops hands over at once", async (t) => {
  const { replica, pass, leading, transitions } = election();
  const a = replica(t, "a");
  replica(t, "b");
  await pass(3);
  await a.stop();
  await pass(2);
  assert.deepEqual([leading, transitions()], [["b"], 1]);
});

test("a leader that is cut off ends its duties before another one begins, within 15 s", async (t) => {
  const { replica, pass, leading, holder } = election();
  const a = replica(t, "a");
  replica(t, "b");
  await pass(3);
  a.cutOff(true);
  await pass(8);
  assert.deepEqual(leading, []);
  await pass(6);
  assert.deepEqual([leading, holder()], [["b"], "b"]);
  a.cutOff(false);
  await pass(20);
  assert.deepEqual(leading, ["b"]);
});

test("a request that is never answered is given up, and the next one is answered", async (t) => {
  const { replica, pass, leading } = election();
  const a = replica(t, "a");
  await pass(3);
  a.silence(true);
  await pass(60);
  assert.deepEqual(leading, []);
  a.silence(false);
  await pass(10);
  assert.deepEqual(leading, ["a"]);
});

test("a short outage costs nothing", async (t) => {
  const { replica, pass, leading } = election();
  const a = replica(t, "a");
  await pass(3);
  a.cutOff(true);
  await pass(4);
  a.cutOff(false);
  await pass(10);
  assert.deepEqual(leading, ["a"]);
});

test("a replica that was started again waits for the lease of its former self", async (t) => {
  const { replica, pass, leading } = election();
  const first = replica(t, "a-1");
  await pass(3);
  first.cutOff(true);
  await first.stop();
  replica(t, "a-2");
  await pass(9);
  assert.deepEqual(leading, []);
  await pass(5);
  assert.deepEqual(leading, ["a-2"]);
});

test("a leader whose pod has gone is not waited for", async (t) => {
  const { replica, pass, leading, gone, asked } = election();
  const a = replica(t, "a");
  replica(t, "b");
  await pass(20);
  assert.deepEqual([...asked], [], "nobody asks about one that renews");
  a.cutOff(true);
  await a.stop();
  await pass(5);
  assert.deepEqual(leading, [], "its pod is there");
  gone.add("a");
  await pass(2);
  assert.deepEqual(leading, ["b"]);
});

test("a lease is taken as it runs out, whenever the last look was", async (t) => {
  const { replica, pass, leading } = election(0, { leaseMs: 10_000, renewalDeadlineMs: 7000, retryMs: 4000 });
  const a = replica(t, "a");
  replica(t, "b");
  await pass(5);
  a.cutOff(true);
  // Last written at 4 s, which the other one saw at 8 s; it looks again at 12, 16 and 18 s.
  await pass(12);
  assert.deepEqual(leading, []);
  await pass(1);
  assert.deepEqual(leading, ["b"]);
});

for (const [title, by] of [
  ["ahead", HOUR_MS],
  ["back", -HOUR_MS],
] as const) {
  test(`a clock that is set ${title} by an hour makes no second leader, and a dead one has its successor in time`, async (t) => {
    const { clock, replica, pass, leading } = election(2 * HOUR_MS);
    const a = replica(t, "a");
    replica(t, "b");
    await pass(3);
    a.cutOff(true);
    await pass(4);
    clock.set(clock.now() + by);
    await pass(1);
    assert.deepEqual(leading, ["a"]);
    await pass(2);
    assert.deepEqual(leading, []);
    await pass(7);
    assert.deepEqual(leading, ["b"]);
  });
}

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { createLog } from "../platform/log.ts";
import { startLeaderElection } from "./leader-election.ts";
import type { KubernetesObject } from "./object.ts";

const HOUR_MS = 3_600_000;
const LEASE = { namespace: "trysail-system", name: "trysail-leader" };

/** One Lease as an API server keeps it, and replicas that compete for it in the same time. */
function election(startMs = 0) {
  const clock = createManualClock(startMs);
  let stored: KubernetesObject | undefined;
  let version = 0;
  const leading: string[] = [];

  const store = (object: object): KubernetesObject => {
    stored = { ...object, metadata: { ...LEASE, resourceVersion: String(++version) } };
    return stored;
  };
  return {
    clock,
    leading,
    holder: () => JSON.parse(JSON.stringify(stored)).spec.holderIdentity,
    transitions: () => JSON.parse(JSON.stringify(stored)).spec.leaseTransitions,
    replica(t: TestContext, identity: string) {
      let isCutOff = false;
      const reach = () => {
        if (isCutOff) throw new TrysailError("unavailable", "cut off");
      };
      const elected = startLeaderElection({
        clock,
        log: createLog("silent"),
        lease: LEASE,
        identity,
        client: {
          async get() {
            reach();
            if (stored === undefined) throw new TrysailError("not-found", "none");
            return stored;
          },
          async create(_path, object) {
            reach();
            if (stored !== undefined) throw new TrysailError("already-exists", "there");
            return store(object);
          },
          async replace(_path, object) {
            reach();
            const { metadata } = JSON.parse(JSON.stringify(object));
            if (metadata.resourceVersion !== stored?.metadata.resourceVersion) {
              throw new TrysailError("aborted", "conflict");
            }
            return store(object);
          },
        },
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

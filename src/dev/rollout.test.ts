import assert from "node:assert/strict";
import { test } from "node:test";
import { type ExistingPod, isSettled, planRollout } from "./rollout.ts";
import type { PodSet, Rollout } from "./workloads.ts";

function set(rollout: Rollout, replicas: number): PodSet {
  const buildPod = () => assert.fail("a plan builds no pods");
  return { key: "Deployment a/b", namespace: "a", name: "b", revision: "new", replicas, rollout, buildPod };
}

function pod(id: string, fields: Partial<ExistingPod> = {}): ExistingPod {
  return { id, revision: "new", ready: true, terminating: false, phase: "Running", createdAt: 0, ...fields };
}

const rolling: Rollout = { kind: "rolling", maxSurge: 1, maxUnavailable: 0 };
const ordered: Rollout = { kind: "ordered", parallel: false };
const job: Rollout = { kind: "job", parallelism: 2, backoffLimit: 1 };

const cases: { name: string; set: PodSet; existing: ExistingPod[]; create: number; remove: string[] }[] = [
  { name: "makes all that is missing", set: set(rolling, 3), existing: [pod("a")], create: 2, remove: [] },
  {
    name: "brings one new pod up before an old one goes",
    set: set(rolling, 2),
    existing: [pod("a", { revision: "old" }), pod("b", { revision: "old" })],
    create: 1,
    remove: [],
  },
  {
    name: "ends an old pod once a new one is ready",
    set: set(rolling, 2),
    existing: [pod("a", { revision: "old" }), pod("b", { revision: "old", createdAt: 1 }), pod("c")],
    create: 0,
    remove: ["b"],
  },
  {
    name: "waits for a new pod that is not ready",
    set: set(rolling, 1),
    existing: [pod("a", { revision: "old" }), pod("b", { ready: false })],
    create: 0,
    remove: [],
  },
  {
    name: "ends an old pod that is not ready at once",
    set: set(rolling, 1),
    existing: [pod("a", { revision: "old", ready: false })],
    create: 1,
    remove: ["a"],
  },
  {
    name: "ends surplus pods, those that are not ready first",
    set: set(rolling, 1),
    existing: [pod("a"), pod("b", { ready: false }), pod("c", { createdAt: 5 })],
    create: 0,
    remove: ["b", "c"],
  },
  {
    name: "makes no new pod before the old one is gone where told to recreate",
    set: set({ kind: "recreate" }, 1),
    existing: [pod("a", { revision: "old", terminating: true })],
    create: 0,
    remove: [],
  },
  { name: "starts numbered pods one after the other", set: set(ordered, 3), existing: [], create: 1, remove: [] },
  {
    name: "waits for the numbered pod before",
    set: set(ordered, 3),
    existing: [pod("a", { ordinal: 0, ready: false })],
    create: 0,
    remove: [],
  },
  {
    name: "starts all numbered pods at once where they are parallel",
    set: set({ kind: "ordered", parallel: true }, 3),
    existing: [pod("a", { ordinal: 0, ready: false })],
    create: 2,
    remove: [],
  },
  {
    name: "replaces numbered pods from the last one down",
    set: set(ordered, 2),
    existing: [pod("a", { ordinal: 0, revision: "old" }), pod("b", { ordinal: 1, revision: "old" })],
    create: 0,
    remove: ["b"],
  },
  {
    name: "runs as many pods of a job as may run at a time",
    set: set(job, 3),
    existing: [pod("a", { phase: "Succeeded", ready: false })],
    create: 2,
    remove: [],
  },
  {
    name: "gives up on a job that failed too often",
    set: set(job, 1),
    existing: [pod("a", { phase: "Failed" }), pod("b", { phase: "Failed" })],
    create: 0,
    remove: [],
  },
];

for (const { name, set, existing, create, remove } of cases) {
  test(name, () => {
    const plan = planRollout(set, existing);
    assert.equal(plan.create.length, create);
    assert.deepEqual(plan.remove, remove);
  });
}

test("a rolling update reaches its end whatever its bounds, and never has fewer ready pods than allowed", () => {
  for (const replicas of [1, 2, 5]) {
    for (const [maxSurge, maxUnavailable] of [
      [1, 0],
      [0, 1],
      [2, 1],
    ] as const) {
      const wanted = set({ kind: "rolling", maxSurge, maxUnavailable }, replicas);
      let pods = Array.from({ length: replicas }, (_, index) => pod(`old${index}`, { revision: "old" }));
      let made = 0;
      for (let step = 0; step < 50 && !isSettled(wanted, pods); step++) {
        const plan = planRollout(wanted, pods);
        pods = pods.filter(({ id }) => !plan.remove.includes(id)).map((each) => ({ ...each, ready: true }));
        for (const _ of plan.create) pods.push(pod(`new${made++}`, { ready: false }));
        const ready = pods.filter((each) => each.ready).length;
        assert.ok(ready >= replicas - maxUnavailable, `${ready} of ${replicas} are ready`);
        assert.ok(pods.length <= replicas + maxSurge, `${pods.length} pods for ${replicas}`);
      }
      assert.ok(isSettled(wanted, pods), `${replicas} replicas, surge ${maxSurge}, unavailable ${maxUnavailable}`);
    }
  }
});

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { KubernetesClient } from "../../src/kubernetes/client.ts";
import { type LeaderElection, startLeaderElection } from "../../src/kubernetes/leader-election.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { until } from "../support/until.ts";
import { findKubernetes } from "./programs.ts";
import { podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const LEASES = "/apis/coordination.k8s.io/v1/namespaces/trysail-system/leases";

test("replicas elect a leader by a real Lease", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  const verbs = ["get", "create", "update"];
  const rules = [{ apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs }];
  const client = await podClient(t, kubernetes, { name: "leader", rules });
  const replicas = ["a", "b", "c"].map((identity) => replica(t, client, identity));
  const leader = () => replicas.filter(({ isLeader }) => isLeader());
  await until("one leader", () => leader().length === 1);
  const [first] = leader();
  const { body } = await kubernetes.call("GET", `${LEASES}/trysail-leader`);
  assert.equal(body.spec.leaseDurationSeconds, 1);
  assert.match(body.spec.renewTime, /^\d{4}-.*\.\d{6}Z$/);
  await first?.stop();
  await until("the next leader", () => leader().length === 1 && leader()[0] !== first);
  await until("a renewal", async () => {
    const { body: renewed } = await kubernetes.call("GET", `${LEASES}/trysail-leader`);
    return renewed.spec.leaseTransitions >= 1 && renewed.spec.renewTime !== renewed.spec.acquireTime;
  });
  await kubernetes.call("DELETE", `${LEASES}/trysail-leader`);
  await until("a leader behind the deletion", async () => {
    const { status } = await kubernetes.call("GET", `${LEASES}/trysail-leader`);
    return status === 200 && leader().length === 1;
  });
});

function replica(t: TestContext, client: KubernetesClient, identity: string): LeaderElection {
  const elected = startLeaderElection({
    client,
    clock: systemClock,
    log: createLog("silent"),
    lease: { namespace: "trysail-system", name: "trysail-leader" },
    identity,
    isGone: async () => false,
    lead: () => () => {},
    timing: { leaseMs: 1000, renewalDeadlineMs: 700, retryMs: 100 },
  });
  t.after(() => elected.stop());
  return elected;
}

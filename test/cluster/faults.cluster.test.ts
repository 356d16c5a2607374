import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { helm, previousChart } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { deployment, service } from "./app-objects.ts";
import {
  clusterMissing,
  createNamespace,
  installMesh,
  type MeshCluster,
  meshCluster,
  type PodName,
  SYSTEM_NAMESPACE,
  uninstallMesh,
  upgradeMesh,
  withRevision,
} from "./mesh-cluster.ts";
import { apiServerOutage, notOurNode, signalContainer, startedAgain } from "./node-faults.ts";
import { probeControlPlane, restart, rolledOut, scaleControlPlane } from "./rollouts.ts";
import { trysail } from "./trysail.ts";

const skip = clusterMissing;
const OUTAGE_MS = 60_000;
/** What docs/install.md promises where one replica is lost. */
const LOST_REPLICA_MS = 15_000;
// The kubelet and the scheduler take up to a minute to come back behind an outage of the API server.
const SLOW = { timeoutMs: 180_000, everyMs: 200 };

test("what goes on in a cluster's life costs no request", { skip, timeout: 900_000 }, async (t) => {
  const cluster = await meshCluster(t);
  await installMesh(t, cluster, previousChart());
  await createNamespace(t, cluster, "shop", { "istio-injection": "enabled" });
  await cluster.apply(
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "default", namespace: "shop" },
      ...{ spec: { mtls: { mode: "STRICT" } } },
    },
    service("shop", "orders"),
    deployment({ namespace: "shop", name: "web" }),
    deployment({ namespace: "shop", name: "orders", replicas: 2 }),
  );
  const web = await cluster.readyPod("shop", "web");
  await cluster.readyPods("shop", "orders", 2);
  const underLoad = async (what: () => Promise<void>) => {
    await until(
      "the first answer",
      async () => (await cluster.callFrom(web, "http://orders.shop/")).status === 200,
      SLOW,
    );
    await cluster.control(web, `/load/start?url=${encodeURIComponent("http://orders.shop/")}`);
    await what();
    // What is over in an instant must have been met by requests too.
    await until("requests", async () => (await cluster.control(web, "/load")).requests > 10, SLOW);
    const { requests, failed, failures } = await cluster.control(web, "/load/stop");
    t.diagnostic(`${requests} requests, ${failed} failed`);
    assert.ok(requests > 10, `${requests} requests`);
    assert.deepEqual(failures, []);
  };

  await t.test("an upgrade of the chart from the release before, which keeps the mesh's root", async () => {
    const path = `/api/v1/namespaces/${SYSTEM_NAMESPACE}/secrets/trysail-ca-secret`;
    const { data } = await cluster.read(path);
    await underLoad(async () => {
      await upgradeMesh(cluster, "logLevel=debug");
      await rolledOut(cluster, SYSTEM_NAMESPACE, "trysail");
    });
    assert.equal((await cluster.read(path)).data["root-cert.pem"], data["root-cert.pem"]);
    await configurationArrives("upgraded");
  });

  await t.test("a rolling restart of the app", () => underLoad(() => restart(cluster, "shop", "orders")));

  await t.test("a rolling restart of the control plane, which serves new configuration afterwards", async () => {
    await underLoad(() => restart(cluster, SYSTEM_NAMESPACE, "trysail"));
    await configurationArrives("restarted");
  });

  await t.test("an upgrade by revision: pods move by their namespace's label and a restart, and back", async () => {
    await underLoad(() =>
      withRevision(cluster, "canary", async () => {
        await label(cluster, "shop", { "istio-injection": null, "istio.io/rev": "canary" });
        await newPodsAreOf("canary");
        await restart(cluster, "shop", "orders");
        assert.deepEqual(await revisionsOf(cluster, "shop", "orders", 2), ["canary", "canary"]);
        await label(cluster, "shop", { "istio-injection": "enabled", "istio.io/rev": null });
        await newPodsAreOf("default");
        await restart(cluster, "shop", "orders");
        assert.deepEqual(await revisionsOf(cluster, "shop", "orders", 2), ["default", "default"]);
      }),
    );
  });

  await t.test("`trysail check` finds nothing wrong, the certificate of each replica among it", async () => {
    const { stdout, exitCode } = await trysail("check", "--kubeconfig", cluster.kubeconfig);
    assert.equal(exitCode, 0, stdout);
    const shown = stdout.match(/^✓ +serving +the certificate of trysail-\S+ is valid until/gm);
    assert.equal(shown?.length, 2, stdout);
    assert.match(stdout, /^✓ +interception +proven by meshed pods on 1 of \d+ nodes/m);
    assert.match(stdout, /^✓ +injection /m);
    assert.match(stdout, /, 0 failed$/m);
  });

  await t.test("`helm test` asks the control plane through its Service", async () => {
    const said = await helm("test", "trysail", `--kubeconfig=${cluster.kubeconfig}`, `--namespace=${SYSTEM_NAMESPACE}`);
    assert.match(said, /Phase: +Succeeded/);
  });

  await t.test("while the control plane is away, the mesh's new pods are refused and its pods serve on", async () => {
    await underLoad(async () => {
      await scaleControlPlane(cluster, 0);
      const { status, body } = await cluster.call("POST", "/api/v1/namespaces/shop/pods", lonelyPod("refused"));
      assert.deepEqual([status, /failed calling webhook/.test(body.message)], [500, true], body.message);
      await scaleControlPlane(cluster, 2);
      await newPodsAreOf("default");
    });
  });

  await t.test(
    "one of two control planes killed with -9, and what is configured next",
    { skip: notOurNode },
    async () => {
      const [victim] = await cluster.readyPods(SYSTEM_NAMESPACE, "trysail", 2);
      assert.ok(victim !== undefined);
      await underLoad(async () => {
        const killed = await signalContainer(cluster, victim, "SIGKILL");
        await configurationArrives("one-killed", { timeoutMs: LOST_REPLICA_MS, everyMs: 100 });
        await startedAgain(cluster, victim, killed);
      });
    },
  );

  await t.test(
    "a control plane that freezes, as with its node, and what is configured next",
    { skip: notOurNode },
    async () => {
      // One of the two serves the caller's proxy, whichever that is; each is the leader when its turn comes.
      for (const turn of ["first-frozen", "second-frozen"]) {
        const leader = await leaderOf(cluster);
        await underLoad(async () => {
          await signalContainer(cluster, leader, "SIGSTOP");
          const frozenAt = Date.now();
          try {
            const handOver = until("another leader", async () => (await leaderOf(cluster)).name !== leader.name, {
              timeoutMs: LOST_REPLICA_MS,
              everyMs: 100,
            });
            const arrival = async () => {
              // The API server asks the frozen one too, until its requests have taken too long: what is written late
              // has no less time than what is written at once.
              await configure(turn);
              t.diagnostic(`written ${Date.now() - frozenAt} ms behind the freeze`);
              await arrives(turn, { timeoutMs: LOST_REPLICA_MS, everyMs: 100 });
            };
            await Promise.all([handOver, arrival()]);
          } finally {
            await signalContainer(cluster, leader, "SIGCONT");
          }
          await cluster.readyPods(SYSTEM_NAMESPACE, "trysail", 2);
        });
      }
    },
  );

  await t.test("a control plane that stays frozen is started again", { skip: notOurNode }, async () => {
    // The chart gives it a minute.
    const soon = { periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 3, terminationGracePeriodSeconds: 1 };
    await probeControlPlane(cluster, soon);
    const [frozen] = await cluster.readyPods(SYSTEM_NAMESPACE, "trysail", 2);
    assert.ok(frozen !== undefined);
    await startedAgain(cluster, frozen, await signalContainer(cluster, frozen, "SIGSTOP"));
  });

  await t.test("pods that came without a sidecar are told once the control plane is back", async () => {
    await upgradeMesh(cluster, "webhooks.failurePolicy=Ignore");
    await scaleControlPlane(cluster, 0);
    const { status, body } = await cluster.call("POST", "/api/v1/namespaces/shop/pods", lonelyPod("unmeshed"));
    assert.deepEqual([status, body.spec.initContainers], [201, undefined]);
    await scaleControlPlane(cluster, 2);
    const event = await until(
      "an Event on the pod",
      async () => {
        const { items } = await cluster.read("/apis/events.k8s.io/v1/namespaces/shop/events");
        return items.find(
          ({ reason, regarding }: { reason: string; regarding: { name: string } }) =>
            reason === "SidecarMissing" && regarding.name === "unmeshed",
        );
      },
      SLOW,
    );
    assert.equal(event.type, "Warning");
  });

  // Behind the others: kube-proxy may take minutes then to read where a Service's pods are.
  await t.test("an API server that is away for a minute", { skip: notOurNode }, async () => {
    await underLoad(async () => {
      const outage = await apiServerOutage(cluster);
      await sleep(OUTAGE_MS);
      await outage.end();
    });
    await configurationArrives("after-outage");
  });

  await t.test("uninstalled, it leaves nothing but CRDs, configuration and the mesh's root", async () => {
    await uninstallMesh(cluster);
    for (const kind of ["mutating", "validating"]) {
      const { items } = await cluster.read(`/apis/admissionregistration.k8s.io/v1/${kind}webhookconfigurations`);
      const names = items.map(({ metadata }: { metadata: { name: string } }) => metadata.name);
      assert.deepEqual(
        names.filter((name: string) => name.startsWith("trysail")),
        [],
      );
    }
    const left = await until(
      "its pods to be gone",
      async () => {
        const { items } = await cluster.read(`/api/v1/namespaces/${SYSTEM_NAMESPACE}/pods`);
        return items.length === 0 && items;
      },
      SLOW,
    );
    assert.deepEqual(left, []);
    const { items } = await cluster.read("/apis/security.istio.io/v1/namespaces/shop/peerauthentications");
    assert.equal(items.length, 1);
  });

  await t.test("`trysail uninstall --purge --crds` takes the rest", { skip: notOurNode }, async () => {
    await upgradeMesh(cluster);
    const args = ["uninstall", "--purge", "--crds", "--yes", "--kubeconfig", cluster.kubeconfig];
    const { exitCode, stdout, stderr } = await trysail(...args);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^pods in shop have sidecars/m);
    assert.match(stdout, /^CustomResourceDefinition +peerauthentications\S+ +and with it 1 objects/m);
    await until(
      "nothing to be left",
      async () => (await trysail(...args)).stdout === "there is nothing to remove\n",
      SLOW,
    );
    const { status } = await cluster.call("GET", "/api/v1/namespaces/shop/configmaps/trysail-ca-root-cert");
    assert.equal(status, 404);
  });

  /** What a pod of the mesh's namespace would get. The API server goes by the namespace's labels as it saw them last. */
  async function newPodsAreOf(revision: string): Promise<void> {
    await until(
      `a new pod to be of revision ${revision}`,
      async () => {
        const path = "/api/v1/namespaces/shop/pods?dryRun=All";
        const { status, body } = await cluster.call("POST", path, lonelyPod("tried"));
        if (status !== 201) throw new Error(body.message);
        return revisionIn(body) === revision;
      },
      SLOW,
    );
  }

  async function configurationArrives(header: string, soon = SLOW): Promise<void> {
    await configure(header);
    await arrives(header, soon);
  }

  async function configure(header: string): Promise<void> {
    await cluster.apply({
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "orders", namespace: "shop" },
      ...{
        spec: {
          hosts: ["orders"],
          http: [{ headers: { request: { set: { "x-seen": header } } }, route: [{ destination: { host: "orders" } }] }],
        },
      },
    });
  }

  async function arrives(header: string, soon: typeof SLOW): Promise<void> {
    await until(
      "the new route",
      async () => {
        const { body } = await cluster.callFrom(web, "http://orders.shop/");
        return JSON.parse(body).headers["x-seen"] === header;
      },
      soon,
    );
  }
});

async function label(
  cluster: MeshCluster,
  namespace: string,
  labels: Readonly<Record<string, string | null>>,
): Promise<void> {
  const body = { metadata: { labels } };
  await cluster.call("PATCH", `/api/v1/namespaces/${namespace}`, body, "application/merge-patch+json");
}

/** Of the control planes that injected the ready pods of an app. */
async function revisionsOf(cluster: MeshCluster, namespace: string, app: string, count: number): Promise<string[]> {
  const pods = await cluster.readyPods(namespace, app, count);
  return Promise.all(
    pods.map(async ({ name }) => {
      const pod = await cluster.read(`/api/v1/namespaces/${namespace}/pods/${name}`);
      const revision = revisionIn(pod);
      assert.ok(revision !== undefined, `${name} has no sidecar: ${JSON.stringify(pod.metadata)}`);
      return revision;
    }),
  );
}

/** Undefined where the pod has no sidecar. */
function revisionIn({ metadata }: { metadata: { annotations?: Record<string, string> } }): string | undefined {
  const status = metadata.annotations?.["sidecar.istio.io/status"];
  return status === undefined ? undefined : JSON.parse(status).revision;
}

/** The pod that holds the control plane's Lease. */
async function leaderOf(cluster: MeshCluster): Promise<PodName> {
  const { spec } = await cluster.read(
    `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM_NAMESPACE}/leases/trysail-leader`,
  );
  const holder: string = spec.holderIdentity;
  return { namespace: SYSTEM_NAMESPACE, name: holder.slice(0, holder.lastIndexOf("_")) };
}

function lonelyPod(name: string) {
  const container = { name: "app", image: "trysail/test-app:1" };
  return { apiVersion: "v1", kind: "Pod", metadata: { name }, spec: { containers: [container] } };
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../support/until.ts";
import { deployment, podTemplate, service, workload } from "./app-objects.ts";
import { clusterMissing, createNamespace, installMesh, meshCluster } from "./mesh-cluster.ts";

const skip = clusterMissing;
const POD_MS = { timeoutMs: 90_000, everyMs: 200 };

test("every kind of workload in the mesh", { skip, timeout: 600_000 }, async (t) => {
  const cluster = await meshCluster(t);
  await installMesh(t, cluster);
  await createNamespace(t, cluster, "shop", { "istio-injection": "enabled" });
  await createNamespace(t, cluster, "plain");
  // Nothing but mutual TLS gets through, so that what answers is meshed at both ends.
  await cluster.apply({
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name: "default", namespace: "shop" },
    ...{ spec: { mtls: { mode: "STRICT" } } },
  });
  const optedOut = { "sidecar.istio.io/inject": "false" };
  const asking = { "sidecar.istio.io/inject": "true" };
  const grpc = { grpc: { port: 8082 }, periodSeconds: 1 };
  const alive = { httpGet: { path: "/alive", port: "http" } };
  const listens = 'fetch("http://127.0.0.1:8080/").then(({ status }) => process.exit(status === 200 ? 0 : 1));';
  const probes = {
    // Of a machine with too much to do, all of it may take seconds, and what these two miss ends the app.
    startupProbe: {
      exec: { command: ["node", "--eval", listens] },
      ...{ periodSeconds: 2, timeoutSeconds: 10, failureThreshold: 60 },
    },
    livenessProbe: { ...alive, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1 },
    readinessProbe: grpc,
  };
  const tcp = { readinessProbe: { tcpSocket: { port: "http" }, periodSeconds: 1 } };
  await cluster.apply(
    service("shop", "orders"),
    deployment({ namespace: "shop", name: "orders" }),
    workload(
      "StatefulSet",
      { namespace: "shop", name: "stateful", container: tcp },
      { serviceName: "stateful", replicas: 2 },
    ),
    workload("DaemonSet", { namespace: "shop", name: "daemon" }),
    deployment({ namespace: "shop", name: "probed", container: probes }),
    deployment({ namespace: "shop", name: "out", podLabels: optedOut }),
    deployment({ namespace: "plain", name: "asking", podLabels: asking }),
    deployment({ namespace: "plain", name: "silent" }),
  );
  const call = 'const { status } = await fetch("http://orders.shop/"); process.exitCode = status === 200 ? 0 : 1;';
  const calling = podTemplate({
    ...{ namespace: "shop", name: "calling" },
    container: { command: ["node", "--eval", call], readinessProbe: undefined },
    podSpec: { restartPolicy: "Never" },
  });
  const job = { backoffLimit: 0, template: calling };
  // First, since its minute may be long.
  await cluster.apply({
    apiVersion: "batch/v1",
    kind: "CronJob",
    metadata: { name: "often", namespace: "shop" },
    ...{ spec: { schedule: "* * * * *", jobTemplate: { spec: job } } },
  });
  await cluster.readyPod("shop", "orders");

  const meshed: readonly [string, string, number][] = [
    ["shop", "stateful", 2],
    ["shop", "daemon", 1],
    ["shop", "probed", 1],
    ["plain", "asking", 1],
  ];
  for (const [namespace, app, count] of meshed) {
    await t.test(`pods of ${namespace}/${app} become ready and reach the mesh`, async () => {
      const pods = await cluster.readyPods(namespace, app, count);
      for (const pod of pods) {
        await until(`${pod.name} to be answered`, async () => {
          const { status, body } = await cluster.callFrom(pod, "http://orders.shop/");
          if (status !== 200) throw new Error(`${status} ${body}`);
          return true;
        });
      }
    });
  }

  for (const [namespace, app] of [
    ["shop", "out"],
    ["plain", "silent"],
  ] as const) {
    await t.test(`the pod of ${namespace}/${app} has no sidecar, and STRICT keeps it out`, async () => {
      const pod = await cluster.readyPod(namespace, app);
      const { spec } = await cluster.read(`/api/v1/namespaces/${namespace}/pods/${pod.name}`);
      assert.deepEqual([spec.initContainers, spec.containers.length], [undefined, 1]);
      const { status, body } = await cluster.callFrom(pod, "http://orders.shop/");
      assert.equal(status, 0);
      assert.doesNotMatch(body, /ENOTFOUND|ECONNREFUSED/, "it is cut off by the proxy, not for want of one");
    });
  }

  await t.test("a liveness probe that fails restarts the app alone", async () => {
    const pod = await cluster.readyPod("shop", "probed");
    const restarts = async () => {
      const { status } = await cluster.read(`/api/v1/namespaces/shop/pods/${pod.name}`);
      const proxy = status.initContainerStatuses.find(({ name }: { name: string }) => name === "istio-proxy");
      return [status.containerStatuses[0].restartCount, proxy.restartCount];
    };
    assert.deepEqual(await restarts(), [0, 0]);
    await cluster.callFrom(pod, "http://127.0.0.1:8080/fail-liveness");
    await until("the app to be restarted", async () => (await restarts())[0] === 1, POD_MS);
    await cluster.readyPod("shop", "probed");
    assert.deepEqual(await restarts(), [1, 0]);
  });

  await t.test("a Job that calls the mesh completes, and its sidecar ends with it", async () => {
    await cluster.apply({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "once", namespace: "shop" },
      ...{ spec: job },
    });
    await until(
      "the Job to complete",
      async () => {
        const { status } = await cluster.read("/apis/batch/v1/namespaces/shop/jobs/once");
        assert.notEqual(status.failed, 1);
        return status.succeeded === 1;
      },
      POD_MS,
    );
    const { items } = await cluster.read("/api/v1/namespaces/shop/pods?labelSelector=job-name%3Donce");
    assert.deepEqual(
      items.map(({ status }: { status: { phase: string } }) => status.phase),
      ["Succeeded"],
    );
  });

  await t.test("so does a CronJob", async () => {
    await until(
      "a run to succeed",
      async () => {
        const { status } = await cluster.read("/apis/batch/v1/namespaces/shop/cronjobs/often");
        return status.lastSuccessfulTime !== undefined;
      },
      { timeoutMs: 150_000, everyMs: 500 },
    );
  });
});

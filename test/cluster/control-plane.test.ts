import assert from "node:assert/strict";
import { test } from "node:test";
import { testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { registerInjection, webhookOptions } from "./webhooks.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const noControllers = "missing" in found || found.programs.controllerManager === null;

interface EventObject {
  readonly regarding: { readonly kind: string; readonly name: string };
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly series?: { readonly count: number };
}

test("a control plane that serves a cluster", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const name of ["trysail-system", "istio-system"]) {
    await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  }
  await create(kubernetes, "/api/v1/namespaces", {
    metadata: { name: "shop", labels: { "istio-injection": "enabled" } },
  });
  await kubernetes.call("POST", "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "default" } });
  const pods = "/api/v1/namespaces/shop/pods";
  await create(kubernetes, pods, podNamed("before"));
  const mesh = await testControlPlane(t, {}, { source: { kind: "kubeconfig", path: kubernetes.kubeconfig } });
  // As a chart installs it: without the roots, which only the control plane knows.
  await registerInjection(kubernetes, webhookOptions(mesh, { caBundlePem: "" }));

  const events = async (): Promise<EventObject[]> =>
    (await kubernetes.call("GET", "/apis/events.k8s.io/v1/namespaces/shop/events")).body.items;
  const eventWith = (reason: string, kind: string) =>
    until(
      `an Event ${reason}`,
      async () => (await events()).find((event) => event.reason === reason && event.regarding.kind === kind),
      { timeoutMs: 30_000 },
    );

  await t.test("is ready", async () => {
    const answer = await fetch(`http://127.0.0.1:${mesh.ports.http}/ready`);
    assert.deepEqual([answer.status, await answer.json()], [200, { ready: true, reason: null }]);
  });

  await t.test("shows that every kind is followed", async () => {
    const followed = await until("every kind to be followed", async () => {
      const text = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
      const kinds = [...text.matchAll(/^trysail_kubernetes_kinds\{kind="(\w+)",status="([\w-]+)"\} 1$/gm)];
      return kinds.every(([, , status]) => status === "synced") && kinds.map(([, kind]) => kind);
    });
    for (const kind of ["EndpointSlice", "VirtualService"]) assert.ok(followed.includes(kind), kind);
  });

  await t.test("puts its roots into its webhook configuration, and injects", async () => {
    await until("an injected pod", async () => {
      const { body } = await kubernetes.call("POST", `${pods}?dryRun=All`, podNamed("probe"));
      return JSON.stringify(body.spec?.initContainers ?? "").includes("istio-proxy");
    });
    const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/trysail-sidecar-injector";
    const { body } = await kubernetes.call("GET", path);
    const [bundle] = body.webhooks.map(({ clientConfig }: { clientConfig: { caBundle: string } }) =>
      Buffer.from(clientConfig.caBundle, "base64").toString(),
    );
    assert.match(bundle, /^-----BEGIN CERTIFICATE-----/);
  });

  await t.test("tells of a pod that lacks its sidecar, on the pod", async () => {
    const event = await eventWith("SidecarMissing", "Pod");
    assert.deepEqual([event.type, event.regarding.name], ["Warning", "before"]);
  });

  await t.test("tells what became of a workload's pods, on what makes them", { skip: noControllers }, async () => {
    await deploy("web", {});
    const injected = await eventWith("SidecarInjected", "ReplicaSet");
    assert.match(injected.regarding.name, /^web-/);
    assert.equal(injected.type, "Normal");
    await deploy("broken", { "traffic.sidecar.istio.io/excludeInboundPorts": "ssh" });
    const denied = await eventWith("SidecarInjectionDenied", "ReplicaSet");
    assert.match(denied.regarding.name, /^broken-/);
    assert.equal(denied.type, "Warning");
    assert.match(denied.note, /excludeInboundPorts/);
  });

  await t.test("leaves no Event for dry runs, nor for pods that nothing made", async () => {
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "dry", uid: "1", controller: true };
    const { status } = await kubernetes.call(
      "POST",
      `${pods}?dryRun=All`,
      podNamed("dry", { ownerReferences: [owner] }),
    );
    assert.equal(status, 201);
    await create(kubernetes, pods, podNamed("single"));
    // What is recorded later is written later.
    await kubernetes.call("POST", pods, podNamed("wet", { ownerReferences: [{ ...owner, name: "wet" }] }));
    await until("the later event", async () => (await events()).some(({ regarding }) => regarding.name === "wet"));
    const names = (await events()).map(({ regarding }) => regarding.name);
    assert.ok(!names.includes("dry") && !names.includes("single"), names.join(" "));
  });

  await t.test("holds the Lease of its leader", async () => {
    const leases = "/apis/coordination.k8s.io/v1/namespaces/trysail-system/leases";
    const { body } = await kubernetes.call("GET", `${leases}/trysail-leader`);
    assert.match(body.spec.holderIdentity, /_[0-9a-f]{16}$/);
  });

  await t.test("serves on while the API server is away, and one that starts meanwhile waits for it", async (t) => {
    await kubernetes.stopApiServer();
    const { kubeconfig: path } = kubernetes;
    const second = testControlPlane(t, {}, { source: { kind: "kubeconfig", path } });
    assert.equal((await fetch(`http://127.0.0.1:${mesh.ports.http}/ready`)).status, 200);
    await kubernetes.startApiServer();
    const { ports } = await second;
    assert.equal((await fetch(`http://127.0.0.1:${ports.http}/ready`)).status, 200);
  });

  async function deploy(name: string, annotations: object): Promise<void> {
    const labels = { app: name };
    await create(kubernetes, "/apis/apps/v1/namespaces/shop/deployments", {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: { metadata: { labels, annotations }, spec: podNamed(name).spec },
      },
    });
  }
});

function podNamed(name: string, metadata: object = {}) {
  const containers = [{ name: "app", image: "example.com/app:1" }];
  return { apiVersion: "v1", kind: "Pod", metadata: { name, ...metadata }, spec: { containers } };
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog } from "../../src/platform/log.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { servedClusters } from "./served-clusters.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip =
  "missing" in found ? found.missing : found.programs.controllerManager === null && "nothing empties namespaces";
const NAMESPACES = 30;
const MERGE = "application/merge-patch+json";
const PATIENT = { timeoutMs: 90_000, everyMs: 200 };

test("namespaces come and go under a control plane, which complains of none", { skip, timeout: 240_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await installIstioKinds(kubernetes, everyIstioKind);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "trysail-system" } });
  const complaints: string[] = [];
  const plane = await testControlPlane(
    t,
    {},
    { source: { kind: "kubeconfig", path: kubernetes.kubeconfig }, plaintext: { host: "127.0.0.1", port: 0 } },
    createLog("warn", { write: (line) => complaints.push(line) }),
  );
  const metrics = async () => (await fetch(`http://127.0.0.1:${plane.ports.monitoring}/metrics`)).text();
  await until("it to lead", async () => /^trysail_leader 1$/m.test(await metrics()), PATIENT);
  complaints.length = 0;

  const names = Array.from({ length: NAMESPACES }, (_, i) => `team-${i}`);
  const [staying, going] = [names.filter((_, i) => i % 3 === 0), names.filter((_, i) => i % 3 !== 0)];
  const remove = async (name: string) => {
    assert.equal((await kubernetes.call("DELETE", `/api/v1/namespaces/${name}`)).status, 200);
  };
  await Promise.all(
    names.map(async (name, i) => {
      await fill(name);
      // Some go before anything can have been written into them, others behind it.
      if (i % 3 === 1) await remove(name);
    }),
  );
  await Promise.all(names.filter((_, i) => i % 3 === 2).map(remove));
  await until(
    "the namespaces to be gone",
    async () => {
      const { items } = (await kubernetes.call("GET", "/api/v1/namespaces")).body;
      return !items.some(({ metadata }: { metadata: { name: string } }) => going.includes(metadata.name));
    },
    PATIENT,
  );
  await until(
    "those that stay, and no others, to be served",
    async () => {
      const served = await servedClusters(t, plane);
      return names.every((name) => served.includes(`web.${name}.svc`) === staying.includes(name));
    },
    PATIENT,
  );
  for (const name of staying) {
    await until(
      `${name} to have the trust bundle and the status of its route`,
      async () => {
        const map = await kubernetes.call("GET", `/api/v1/namespaces/${name}/configmaps/trysail-ca-root-cert`);
        const route = await kubernetes.call("GET", `${routesOf(name)}/web`);
        return map.status === 200 && route.body.status?.conditions?.length > 0;
      },
      PATIENT,
    );
  }
  // One of a name that was there before is as new.
  const [again = ""] = going;
  await fill(again);
  await until(
    "it to be served again",
    async () => (await servedClusters(t, plane)).includes(`web.${again}.svc`),
    PATIENT,
  );
  await until(
    "its trust bundle",
    async () =>
      (await kubernetes.call("GET", `/api/v1/namespaces/${again}/configmaps/trysail-ca-root-cert`)).status === 200,
    PATIENT,
  );
  assert.deepEqual(complaints, []);

  // And those that the mesh's selectors do not choose are no part of it, until their labels say else.
  const [chosen = "", unchosen = ""] = staying;
  const label = (name: string, team: string | null) =>
    kubernetes.call("PATCH", `/api/v1/namespaces/${name}`, { metadata: { labels: { team } } }, MERGE);
  await label(chosen, "mesh");
  await create(kubernetes, "/api/v1/namespaces/trysail-system/configmaps", {
    metadata: { name: "istio" },
    data: { mesh: "discoverySelectors: [{matchLabels: {team: mesh}}]" },
  });
  const served = (...these: string[]) =>
    until(
      `${these} alone to be served`,
      async () => {
        const clusters = await servedClusters(t, plane);
        return names.every((name) => clusters.includes(`web.${name}.svc`) === these.includes(name));
      },
      PATIENT,
    );
  await served(chosen);
  await label(unchosen, "mesh");
  await served(chosen, unchosen);
  await label(chosen, null);
  await served(unchosen);

  async function fill(name: string): Promise<void> {
    await create(kubernetes, "/api/v1/namespaces", { metadata: { name, labels: { "istio-injection": "enabled" } } });
    await create(kubernetes, `/api/v1/namespaces/${name}/services`, {
      metadata: { name: "web" },
      spec: { ports: [{ name: "http", port: 80 }] },
    });
    await create(kubernetes, routesOf(name), {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "web" },
      spec: { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] },
    });
  }
});

function routesOf(namespace: string): string {
  return `/apis/networking.istio.io/v1/namespaces/${namespace}/virtualservices`;
}

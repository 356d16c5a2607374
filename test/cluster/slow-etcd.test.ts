import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog } from "../../src/platform/log.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import { findKubernetes } from "./programs.ts";
import { servedClusters } from "./served-clusters.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const PATIENT = { timeoutMs: 60_000, everyMs: 50 };

test("while etcd hangs, proxies are served what was known, and what comes behind that arrives", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  for (const name of ["trysail-system", "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  await addService(kubernetes, "first");
  const log: string[] = [];
  const overrides = {
    source: { kind: "kubeconfig", path: kubernetes.kubeconfig },
    plaintext: { host: "127.0.0.1", port: 0 },
  } as const;
  const mesh = await testControlPlane(t, {}, overrides, createLog("info", { write: (line) => log.push(line) }));
  const logged = (what: RegExp, times = 1) =>
    until(`${times} × ${what} in the log`, () => log.filter((line) => what.test(line)).length >= times, PATIENT);
  const serves = (name: string) =>
    until(
      `${name} to be served`,
      async () => (await servedClusters(t, mesh)).includes(`outbound|80||${name}.shop.`),
      PATIENT,
    );
  await logged(/this replica leads/);
  await serves("first");

  kubernetes.freezeEtcd();
  try {
    await logged(/could not be renewed in time.*no longer leads/);
    await serves("first");
    assert.equal((await fetch(`http://127.0.0.1:${mesh.ports.http}/ready`)).status, 200);
  } finally {
    kubernetes.thawEtcd();
  }
  await addService(kubernetes, "behind-the-hang");
  await serves("behind-the-hang");
  await logged(/this replica leads/, 2);
});

/** Writes whose answers were lost, too, were done. */
async function addService(kubernetes: TestKubernetes, name: string): Promise<void> {
  await until(
    `service ${name} to be taken`,
    async () => {
      const service = { metadata: { name }, spec: { ports: [{ name: "http", port: 80 }] } };
      const { status } = await kubernetes.call("POST", "/api/v1/namespaces/shop/services", service);
      return status === 201 || status === 409;
    },
    PATIENT,
  );
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { testControlPlane } from "../support/control-plane.ts";
import { CHART, helm, helmMissing } from "../support/helm.ts";
import { until } from "../support/until.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const NAMESPACE = "mesh";

test("a control plane in a namespace of another name", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const { kubeconfig } = kubernetes;
  // A field that nobody knows, so that its finding tells where the mesh config was read.
  await helm(
    ...["upgrade", "--install", "trysail", CHART, `--kubeconfig=${kubeconfig}`, `--namespace=${NAMESPACE}`],
    ...["--create-namespace", "--set-json=meshConfig.fromTheFuture=true"],
  );
  const source = { kind: "kubeconfig", path: kubeconfig } as const;
  const plane = await testControlPlane(t, {}, { source, systemNamespace: NAMESPACE });
  const exists = (path: string) => async () => (await kubernetes.call("GET", path)).status === 200;

  await t.test("keeps its root, its Lease and its own trust bundle there", async () => {
    await until("the root", exists(`/api/v1/namespaces/${NAMESPACE}/secrets/trysail-ca-secret`));
    const leases = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`;
    await until("the Lease", exists(`${leases}/trysail-leader`));
    await until("the bundle", exists(`/api/v1/namespaces/${NAMESPACE}/configmaps/trysail-ca-root-cert`));
  });

  await t.test("reads the mesh config there", async () => {
    const token = await plane.issuer.issue({
      ...{ namespace: NAMESPACE, serviceAccount: "trysail", audience: "istio-ca", ttlMs: 60_000 },
    });
    const answer = await fetch(`http://127.0.0.1:${plane.ports.http}/debug/findings`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const text = await answer.text();
    assert.match(text, /data\.mesh\.fromTheFuture is not supported/);
    assert.match(text, /"namespace":"mesh","name":"istio"/);
  });

  await t.test("may do there what it must, as `trysail check` finds", async () => {
    const { stdout } = await trysail("check", "--namespace", NAMESPACE, "--kubeconfig", kubeconfig);
    assert.match(stdout, /^✓ +permissions +the control plane may do all \d+ things/m);
    assert.match(stdout, /^✓ +control plane +\S+ leads$/m);
  });

  await t.test("and goes from there without a trace", async () => {
    await plane.stop();
    const args = ["--namespace", NAMESPACE, "--kubeconfig", kubeconfig];
    assert.equal((await trysail("uninstall", "--purge", "--yes", ...args)).exitCode, 0);
    assert.equal((await trysail("uninstall", "--purge", "--yes", ...args)).stdout, "there is nothing to remove\n");
  });
});

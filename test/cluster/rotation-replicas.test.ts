import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { askAuthority, slotOf } from "../support/ask-authority.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SYSTEM = "trysail-system";
const PATIENT = { timeoutMs: 60_000, everyMs: 100 };

test("a new root signs once the proxies of every replica have accepted it, whichever replica is asked", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  for (const name of [SYSTEM, "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  const overrides = {
    source: { kind: "kubeconfig", path: kubernetes.kubeconfig },
    rootPropagationMs: 1000,
  } as const;
  const replicas = [await testControlPlane(t, {}, overrides), await testControlPlane(t, {}, overrides)] as const;
  const [one, other] = replicas;

  const token = await other.issuer.issue({
    ...{ namespace: "shop", serviceAccount: "default", audience: "istio-ca", ttlMs: 600_000 },
  });
  const { body: secret } = await kubernetes.call("GET", `/api/v1/namespaces/${SYSTEM}/secrets/trysail-ca-secret`);
  const rootPath = await temporaryPath(t, "root.pem");
  await writeFile(rootPath, Buffer.from(secret.data["root-cert.pem"], "base64"));
  const proxy = openAds(t, { port: other.ports.grpc, rootPath }, token);
  proxy.subscribe(sidecarNode("slow-1", "shop"), TYPE_URL.secret, ["ROOTCA"]);
  proxy.acknowledge(await proxy.response());
  const isCounted = async (replica: TestControlPlane) => (await askAuthority(replica)).facts?.proxies === 1;
  await until("each replica to know of the proxy", async () => (await isCounted(one)) && isCounted(other), PATIENT);

  await askAuthority(one, "prepare");
  const published = await proxy.response();
  for (const replica of replicas) {
    const { next } = await until(
      "a replica to wait for the proxy",
      async () => {
        const status = await askAuthority(replica);
        return /1 of 1 connected proxies .* slow-1\.shop/.test(status.next?.reason ?? "") && status;
      },
      PATIENT,
    );
    assert.equal(next?.kind, "wait");
    await assert.rejects(askAuthority(replica, "activate"), /1 of 1 connected proxies have not accepted/);
  }
  const before = slotOf(await askAuthority(one), "prepared");
  assert.ok(before !== undefined);
  proxy.acknowledge(published);
  for (const replica of replicas) {
    await until("the new root to sign", async () => slotOf(await askAuthority(replica), "active") === before, PATIENT);
  }

  await other.stop();
  const { body } = await kubernetes.call(
    "GET",
    `/api/v1/namespaces/${SYSTEM}/configmaps?labelSelector=trysail.dev/trust-report`,
  );
  assert.equal(body.items.length, 1, "who stops takes its report along");
});

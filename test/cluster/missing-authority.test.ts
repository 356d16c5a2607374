import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSignedRoot } from "../../src/ca/authority/self-signed-root.ts";
import { requiredAccess } from "../../src/control-plane/required-access.ts";
import { systemClock as clock } from "../../src/platform/clock.ts";
import { systemRandom as random } from "../../src/platform/random.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { accountKubeconfig, podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SYSTEM = "/api/v1/namespaces/trysail-system";
const SECRET = `${SYSTEM}/secrets/trysail-ca-secret`;
const BUNDLE = `${SYSTEM}/configmaps/trysail-ca-root-cert`;
const PATIENT = { timeoutMs: 60_000, everyMs: 100 };

test("a control plane that starts where the mesh's key is missing", { skip, timeout: 600_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "trysail-system" } });
  const { cluster, own } = requiredAccess("default");
  await podClient(t, kubernetes, { name: "trysail", rules: [...cluster, ...own] });
  const source = { kind: "kubeconfig", path: await accountKubeconfig(t, kubernetes, "trysail") } as const;

  const start = async () => {
    const http = { host: "127.0.0.1", port: await freePort() };
    const starting = testControlPlane(t, {}, { source, http });
    return { starting, http };
  };
  const isWaiting = ({ http }: Awaited<ReturnType<typeof start>>, reason: RegExp) =>
    until(
      `/ready to answer ${reason}`,
      async () => {
        const answer = await fetch(`http://127.0.0.1:${http.port}/ready`);
        const body = await answer.text();
        assert.equal(answer.status, 503);
        assert.match(body, reason);
        return true;
      },
      PATIENT,
    );
  const secret = async () => (await kubernetes.call("GET", SECRET)).body.data;
  const authority = async (): Promise<string | undefined> => (await secret())?.["authority.json"];
  const root = async () => Buffer.from((await secret())?.["root-cert.pem"] ?? "", "base64").toString();
  const published = async (): Promise<string | undefined> =>
    (await kubernetes.call("GET", BUNDLE)).body.data?.["root-cert.pem"];
  const isPublished = () => until("the published root", async () => (await published()) === (await root()), PATIENT);
  const forget = async (path: string) => assert.equal((await kubernetes.call("DELETE", path)).status, 200);
  const restore = (files: object) =>
    create(kubernetes, `${SYSTEM}/secrets`, { metadata: { name: "trysail-ca-secret" }, data: files });

  const first = await (await start()).starting;
  await isPublished();
  const kept = await secret();

  await t.test("takes up the one that another replica has, and puts back", async () => {
    await forget(SECRET);
    const second = await (await start()).starting;
    assert.equal(await authority(), kept["authority.json"]);
    await second.stop();
  });

  await t.test("makes no other root where none runs, says why, and goes on once the Secret is back", async () => {
    await first.stop();
    await forget(SECRET);
    const waiting = await start();
    const why =
      /it waits for the mesh's authority: Secret trysail-system\/trysail-ca-secret has no authority in it, and ConfigMap trysail-system\/trysail-ca-root-cert has the mesh trust O=cluster\.local/;
    await isWaiting(waiting, why);
    await until(
      "the Event",
      async () => {
        const { body } = await kubernetes.call("GET", "/apis/events.k8s.io/v1/events");
        const events: readonly { reason: string; note: string; regarding: { name: string } }[] = body.items;
        return events.some(
          ({ reason, note, regarding }) =>
            reason === "AuthorityMissing" &&
            regarding.name === "trysail-ca-secret" &&
            note.includes("backup") &&
            note.includes("kubectl delete configmap --all-namespaces --field-selector metadata.name=trysail-ca-root"),
        );
      },
      PATIENT,
    );
    assert.equal(await authority(), undefined);
    const { stdout } = await trysail("check", "--kubeconfig", kubernetes.kubeconfig, "-o", "json");
    assert.match(stdout, /Secret trysail-system\/trysail-ca-secret is gone/);
    await restore(kept);
    await (await waiting.starting).stop();
    assert.equal(await authority(), kept["authority.json"]);
  });

  await t.test("begins anew where somebody says so, by taking the published roots away", async () => {
    await forget(SECRET);
    const waiting = await start();
    await isWaiting(waiting, /it waits for the mesh's authority/);
    await forget(BUNDLE);
    const plane = await waiting.starting;
    assert.ok(await authority());
    assert.notEqual(await authority(), kept["authority.json"]);
    await isPublished();
    await plane.stop();
  });

  await t.test("makes no other root where its namespace is gone, while pods have sidecars that trust one", async () => {
    const before = await authority();
    const saved = await secret();
    await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
    await create(kubernetes, "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "default" } });
    const labels = { "security.istio.io/tlsMode": "istio" };
    const metadata = { name: "web", labels, annotations: { "sidecar.istio.io/status": "{}" } };
    const pod = { metadata, spec: { containers: [{ name: "app", image: "app" }] } };
    await create(kubernetes, "/api/v1/namespaces/shop/pods", pod);
    const plane = await (await start()).starting;
    const theirs = "/api/v1/namespaces/shop/configmaps/trysail-ca-root-cert";
    await until("shop's trust bundle", async () => (await kubernetes.call("GET", theirs)).status === 200, PATIENT);
    await plane.stop();
    for (const path of [SECRET, BUNDLE]) await forget(path);

    const waiting = await start();
    await isWaiting(waiting, /and ConfigMap shop\/trysail-ca-root-cert has the mesh trust O=cluster\.local/);
    await restore(saved);
    const back = await waiting.starting;
    assert.equal(await authority(), before);
    await isPublished();
    await back.stop();

    // A mesh that nobody is in may begin anew.
    for (const path of [SECRET, BUNDLE]) await forget(path);
    const empty = await start();
    await isWaiting(empty, /it waits for the mesh's authority/);
    await forget("/api/v1/namespaces/shop/pods/web?gracePeriodSeconds=0");
    const anew = await empty.starting;
    assert.notEqual(await authority(), before);
    await isPublished();
    await anew.stop();
  });

  await t.test(
    "begins with what is plugged in where that is what the mesh trusts, and waits where it is not",
    async () => {
      for (const path of [SECRET, BUNDLE]) await forget(path);
      const plugged = createSelfSignedRoot({ clock, random, trustDomain: "cluster.local" });
      const files = {
        "ca-cert.pem": plugged.certificatePem,
        "ca-key.pem": Buffer.from(plugged.keyPem.reveal()).toString(),
      };
      await create(kubernetes, `${SYSTEM}/secrets`, { metadata: { name: "cacerts" }, stringData: files });
      const plane = await (await start()).starting;
      await isPublished();
      await plane.stop();
      await forget(SECRET);
      await (await (await start()).starting).stop();
      assert.equal(await root(), plugged.certificatePem);

      await forget(SECRET);
      await forget(`${SYSTEM}/secrets/cacerts`);
      const waiting = await start();
      await isWaiting(waiting, /it waits for the mesh's authority/);
      await create(kubernetes, `${SYSTEM}/secrets`, { metadata: { name: "cacerts" }, stringData: files });
      await (await waiting.starting).stop();
    },
  );

  await t.test("begins anew behind `trysail uninstall --purge`", async () => {
    await forget(`${SYSTEM}/secrets/cacerts`);
    const { exitCode } = await trysail("uninstall", "--purge", "--yes", "--kubeconfig", kubernetes.kubeconfig);
    assert.equal(exitCode, 0);
    await (await (await start()).starting).stop();
    assert.ok(await authority());
  });
});

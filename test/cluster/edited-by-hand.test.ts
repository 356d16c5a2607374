import assert from "node:assert/strict";
import { test } from "node:test";
import { createSelfSignedRoot } from "../../src/ca/authority/self-signed-root.ts";
import { createRootCertificateKeeper } from "../../src/kubernetes/root-certificate-keeper.ts";
import type { CheckLine } from "../../src/operations/check/check.ts";
import { systemClock as clock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom as random } from "../../src/platform/random.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SYSTEM = "trysail-system";
const SECRET = `/api/v1/namespaces/${SYSTEM}/secrets/trysail-ca-secret`;
const MERGE = "application/merge-patch+json";
const PATIENT = { timeoutMs: 60_000, everyMs: 100 };

test("what is deleted, emptied and broken by hand while the mesh runs", { skip, timeout: 240_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  const { kubeconfig } = kubernetes;
  for (const name of [SYSTEM, "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  const source = { kind: "kubeconfig", path: kubeconfig } as const;
  const plane = await testControlPlane(t, {}, { source });
  const token = await plane.issuer.issue({
    ...{ namespace: SYSTEM, serviceAccount: "trysail", audience: "istio-ca", ttlMs: 600_000 },
  });
  const page = async (name: string): Promise<string> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${plane.ports.http}/debug/${name}`, { headers })).text();
  };
  const authority = async () => (await kubernetes.call("GET", SECRET)).body.data?.["authority.json"];
  const first = await until("the authority", authority);
  const isBack = () => until("the same authority", async () => (await authority()) === first, PATIENT);
  /** An Event, by `REASON KIND/NAME`. */
  const isTold = (event: string) =>
    until(
      event,
      async () => {
        const { body } = await kubernetes.call("GET", "/apis/events.k8s.io/v1/events");
        const events: readonly EventShape[] = body.items;
        return events.some(({ reason, regarding }) => event === `${reason} ${regarding.kind}/${regarding.name}`);
      },
      PATIENT,
    );
  /** What `trysail check` says of what is broken here, as `STATUS CHECK: MESSAGE`. */
  const checked = async (): Promise<string> => {
    const { stdout, stderr } = await trysail("check", "--kubeconfig", kubeconfig, "-o", "json");
    assert.equal(stderr, "");
    const lines: readonly CheckLine[] = JSON.parse(stdout);
    const asked = lines.filter(({ check }) => ["authority", "certificates", "mesh config"].includes(check));
    return asked.map(({ status, check, message }) => `${status} ${check}: ${message}`).join("\n");
  };

  await t.test("the authority's Secret is back, with the same key, when it was deleted", async () => {
    assert.match(
      await checked(),
      /^pass authority: Secret trysail-system\/trysail-ca-secret holds the mesh's authority$/m,
    );
    await kubernetes.call("DELETE", SECRET);
    await isBack();
    await isTold("AuthorityRestored Secret/trysail-ca-secret");
  });

  await t.test("so it is when it was emptied", async () => {
    const { status } = await kubernetes.call("PATCH", SECRET, { data: null }, MERGE);
    assert.equal(status, 200);
    await isBack();
    assert.ok((await kubernetes.call("GET", SECRET)).body.data["root-cert.pem"]);
  });

  await t.test("one that cannot be read is told of and left alone, until somebody deletes it", async () => {
    const broken = Buffer.from("{}").toString("base64");
    await kubernetes.call("PATCH", SECRET, { data: { "authority.json": broken } }, MERGE);
    await isTold("AuthorityUnreadable Secret/trysail-ca-secret");
    assert.equal(await authority(), broken);
    assert.match(await checked(), /^fail authority: the authority's state \S+ \S+ is not one that this version reads/m);
    await kubernetes.call("DELETE", SECRET);
    await isBack();
  });

  await t.test("a mesh config that is edited to nonsense is told of, until it is mended", async () => {
    const path = `/api/v1/namespaces/${SYSTEM}/configmaps`;
    const edit = (mesh: string) => kubernetes.call("PATCH", `${path}/istio`, { data: { mesh } }, MERGE);
    assert.match(await checked(), /^pass mesh config: no ConfigMap holds any/m);
    await create(kubernetes, path, { metadata: { name: "istio" } });
    assert.match(await checked(), /^warn mesh config: ConfigMap trysail-system\/istio holds none/m);
    await edit("connectTimeout: 3s");
    await until("no findings", async () => (await page("findings")) === "[]");
    assert.match(await checked(), /^pass mesh config: every setting of ConfigMap trysail-system\/istio is in use$/m);
    await edit("connectTimeout: [");
    await isTold("ConfigurationUnusable ConfigMap/istio");
    assert.match(await page("findings"), /the mesh config is not YAML/);
    assert.match(await checked(), /^fail mesh config: ConfigMap \S+: the mesh config is not YAML/m);
    await edit("{connectTimeout: soon, enableAutoMtls: 7, trustDomain: other.test, unheard: of}");
    assert.match(await checked(), /^fail mesh config: .*data\.mesh\.connectTimeout/m);
    assert.match(await checked(), /^fail mesh config: .*data\.mesh\.enableAutoMtls/m);
    assert.match(await checked(), /^warn mesh config: .*data\.mesh\.unheard is not supported/m);
    await edit("connectTimeout: 4s");
    await until("no findings", async () => (await page("findings")) === "[]");
  });

  await t.test("a mesh that writes the same trust bundles slows down with this one, and is told of", async (t) => {
    const admin = await adminClient(t, kubernetes);
    const writtenAtMs: number[] = [];
    const client: typeof admin = {
      ...admin,
      patch(path, ...patch) {
        if (path.includes("/shop/")) writtenAtMs.push(clock.elapsed());
        return admin.patch(path, ...patch);
      },
    };
    const { certificatePem } = createSelfSignedRoot({ clock, random, trustDomain: "rival.test" });
    const rival = createRootCertificateKeeper({
      ...{ client, clock, random, log: createLog("silent") },
      names: ["trysail-ca-root-cert"],
      trustBundlePem: certificatePem,
    });
    t.after(() => rival.stop());
    await isTold("TrustBundleContested ConfigMap/trysail-ca-root-cert");
    // A second lies between the first ones.
    const pauses = () => writtenAtMs.map((atMs, at) => atMs - (writtenAtMs[at - 1] ?? atMs));
    await until("a pause that has doubled twice", () => pauses().some((pauseMs) => pauseMs >= 4000), PATIENT);
    rival.stop();
    await until(
      "the mesh's own bundle in every namespace",
      async () => !/holds other roots/.test(await checked()),
      PATIENT,
    );
  });

  await t.test("a control plane that starts on an emptied Secret waits for the root that the mesh has", async (t) => {
    await plane.stop();
    await kubernetes.call("PATCH", SECRET, { data: null }, MERGE);
    const waiting = testControlPlane(t, {}, { source });
    await isTold("AuthorityMissing Secret/trysail-ca-secret");
    assert.match(await checked(), /^fail authority: the authority's state \S+ \S+ is not JSON$/m);
    await kubernetes.call("DELETE", SECRET);
    assert.match(await checked(), /^fail authority: Secret \S+ is gone$/m);
    const data = { "authority.json": first };
    await create(kubernetes, `/api/v1/namespaces/${SYSTEM}/secrets`, { metadata: { name: "trysail-ca-secret" }, data });
    await (await waiting).stop();
    assert.equal(await authority(), first);
  });

  await t.test("`trysail check` says of a trust bundle that is another one, and that it is none", async () => {
    const nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const path = `/api/v1/namespaces/${SYSTEM}/configmaps/trysail-ca-root-cert`;
    await kubernetes.call("PATCH", path, { data: { "root-cert.pem": nonsense } }, MERGE);
    const said = await checked();
    assert.match(
      said,
      /^fail authority: the ConfigMap trysail-ca-root-cert holds other roots \S+ \S+ \S+ in trysail-system$/m,
    );
    assert.match(said, /^fail certificates: the ConfigMap trysail-ca-root-cert holds no certificate$/m);
  });
});

interface EventShape {
  readonly reason: string;
  readonly regarding: { readonly kind: string; readonly name: string };
}

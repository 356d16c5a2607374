import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { issue } from "../../src/ca/issue.ts";
import { parseCsr } from "../../src/ca/x509/csr.ts";
import { createCertificateSigner } from "../../src/kubernetes/certificate-signer.ts";
import { systemClock as clock } from "../../src/platform/clock.ts";
import { TrysailError } from "../../src/platform/errors.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom as random } from "../../src/platform/random.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { helmMissing } from "../support/helm.ts";
import { openssl } from "../support/openssl.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { chartAccount } from "./chart-account.ts";
import { create } from "./create.ts";
import { type KubernetesClient, kubernetesClient } from "./kubernetes-client.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient } from "./service-account.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const SIGNER = "trysail.dev/workload";
const REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const SHOP = "/api/v1/namespaces/shop";
const USAGES = ["digital signature", "server auth", "client auth"];
const CART = "spiffe://cluster.local/ns/shop/sa/cart";
const SLOW = { timeoutMs: 30_000 };

interface Wish {
  readonly uri?: string;
  readonly subject?: string;
  readonly signerName?: string;
  readonly usages?: readonly string[];
  readonly expirationSeconds?: number;
}

test("CertificateSigningRequests of a real cluster", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  await create(kubernetes, `${RBAC}/clusterroles`, {
    metadata: { name: "requester" },
    rules: [
      { apiGroups: ["certificates.k8s.io"], resources: ["certificatesigningrequests"], verbs: ["create", "get"] },
    ],
  });
  const cart = await accountClient(t, kubernetes, "cart");
  const lines: string[] = [];
  const log = createLog("info", { write: (line) => lines.push(line) });
  const start = async (approves: boolean) => {
    const approval = approves ? "own-identity" : "manual";
    const path = await chartAccount(t, kubernetes, { certificateRequests: { signerName: SIGNER, approval } });
    const certificateRequests = { signerName: SIGNER, approves };
    return testControlPlane(t, {}, { source: { kind: "kubeconfig", path }, certificateRequests }, log);
  };
  let mesh = await start(true);

  const ask = async (client: KubernetesClient, wish: Wish = {}): Promise<{ name: string; keyPath: string }> => {
    const keyPath = await temporaryPath(t, "key.pem");
    const name = `asked-${keyPath.replaceAll(/[^a-z0-9]/gi, "").toLowerCase()}`;
    const request = await csrOf(t, keyPath, wish);
    const { signerName = SIGNER, usages = USAGES, expirationSeconds = 3600 } = wish;
    const spec = { request: Buffer.from(request).toString("base64"), signerName, usages, expirationSeconds };
    await create(client, REQUESTS, { metadata: { name }, spec });
    return { name, keyPath };
  };
  const read = async (name: string) => (await kubernetes.call("GET", `${REQUESTS}/${name}`)).body;
  const condition = async (name: string, type: string) =>
    until(
      `${name} to be ${type}`,
      async () => (await read(name)).status?.conditions?.find((one: { type: string }) => one.type === type),
      SLOW,
    );
  const chainOf = async (name: string): Promise<string> => {
    const issued = await until(`the certificate of ${name}`, async () => (await read(name)).status?.certificate, SLOW);
    return Buffer.from(issued, "base64").toString();
  };

  await t.test("a service account gets a certificate for its own SPIFFE id, which openssl verifies", async (t) => {
    const { name, keyPath } = await ask(cart, { uri: CART, expirationSeconds: 1800 });
    const chainPem = await chainOf(name);
    await assertVerifies(t, kubernetes, chainPem);
    const leaf = new X509Certificate(chainPem);
    assert.equal(leaf.subjectAltName, `URI:${CART}`);
    const minutes = Math.round((leaf.validToDate.getTime() - Date.now()) / 60_000);
    assert.equal(minutes, 30);
    const key = await openssl("pkey", "-in", keyPath, "-pubout");
    assert.equal(leaf.publicKey.export({ type: "spki", format: "pem" }), key);
    assert.equal((await condition(name, "Approved")).reason, "own-identity");
    const audited = lines.map((line) => JSON.parse(line)).filter(({ peer }) => peer === name);
    assert.deepEqual(
      audited.map(({ msg, protocol, certSigner, id }) => [msg, protocol, certSigner, id]),
      [["certificate issued", "kubernetes", SIGNER, CART]],
      "signed once, and written down",
    );
  });

  await t.test("who asks for no name gets its own, and the life is cut to what the mesh allows", async () => {
    const { name } = await ask(cart, { subject: "/", expirationSeconds: 365 * 86_400 });
    const leaf = new X509Certificate(await chainOf(name));
    assert.equal(leaf.subjectAltName, `URI:${CART}`);
    assert.equal(Math.round((leaf.validToDate.getTime() - Date.now()) / 86_400_000), 90);
  });

  const admin: KubernetesClient = kubernetes;
  const denials: readonly [title: string, client: KubernetesClient, wish: Wish, reason: string][] = [
    ["someone else's SPIFFE id", cart, { uri: "spiffe://cluster.local/ns/shop/sa/till" }, "csr-other-names"],
    ["another trust domain's", cart, { uri: "spiffe://west.example/ns/shop/sa/cart" }, "csr-other-names"],
    ["a common name", cart, { subject: "/CN=system:admin" }, "csr-other-names"],
    ["usages of an authority", cart, { usages: [...USAGES, "cert sign"] }, "csr-other-usages"],
    ["too few usages", cart, { usages: ["client auth"] }, "csr-other-usages"],
    ["a certificate for no service account", admin, { uri: CART }, "requester-no-workload"],
  ];
  for (const [title, client, wish, reason] of denials) {
    await t.test(`who asks for ${title} is denied, with the reason`, async () => {
      const { name } = await ask(client, wish);
      const denied = await condition(name, "Denied");
      assert.equal(denied.reason, reason);
      assert.equal((await read(name)).status.certificate, undefined);
    });
  }

  await t.test("what is denied is counted by its reason", async () => {
    const expected = { "csr-other-names": 3, "csr-other-usages": 2, "requester-no-workload": 1 };
    // The API server shows a denial before it has answered whoever wrote it.
    await until("the counts", async () => {
      const text = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
      const counts = text.matchAll(/^trysail_ca_refusals_total\{reason="([\w-]+)"\} (\d+)$/gm);
      assert.deepEqual(Object.fromEntries([...counts].map(([, reason, count]) => [reason, Number(count)])), expected);
      const told = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "certificate request denied");
      assert.equal(told.length, denials.length);
      // Whoever asks decides how often they are written.
      for (const { cause, err } of told) assert.deepEqual([typeof cause, err], ["string", undefined]);
      return true;
    });
  });

  await t.test("requests of another signer are left alone", async () => {
    const { name } = await ask(cart, { signerName: "example.com/other", uri: CART });
    await chainOf((await ask(cart, { uri: CART })).name);
    const { status } = await read(name);
    assert.deepEqual(status, {});
  });

  await t.test("what fails for a while is tried again", async (t) => {
    const signerName = "trysail.dev/shaky";
    const { signer, rootCertificatePem } = await temporaryAuthority(t, clock);
    const client = await adminClient(t, kubernetes);
    const failures = new Set(["approval", "issue", "status"]);
    const failOnce = (what: string) => {
      if (failures.delete(what)) throw new TrysailError("unavailable", `${what} is away`);
    };
    const stop = createCertificateSigner({
      ...{ clock, random, log, signerName, approves: true, trustDomain: "cluster.local" },
      client: {
        ...client,
        async replace(path, ...asked) {
          failOnce(path.endsWith("approval") ? "approval" : "status");
          return client.replace(path, ...asked);
        },
      },
      metrics: { refused: (reason) => assert.fail(reason) },
      async certify(authenticate, { csr }) {
        failOnce("issue");
        const identity = await authenticate();
        const request = { identity, publicKey: parseCsr(csr).publicKey.der, ttlMs: 3_600_000 };
        return { ...(await issue({ signer, clock, maxTtlMs: 3_600_000 }, request)), identity };
      },
    });
    t.after(stop);
    const { name } = await ask(cart, { uri: CART, signerName });
    const root = await temporaryPath(t, "root.pem");
    await writeFile(root, rootCertificatePem);
    await assertVerifiesUnder(t, root, await chainOf(name));
    assert.equal(failures.size, 0);
  });

  await t.test("what is deleted while it is worked on, and then fails, is forgotten", async (t) => {
    const signerName = "trysail.dev/leaving";
    const held = Promise.withResolvers<never>();
    const away = new TrysailError("unavailable", "the authority is away");
    const begun: string[] = [];
    const stop = createCertificateSigner({
      ...{ clock, random, log, signerName, approves: true, trustDomain: "cluster.local" },
      client: await adminClient(t, kubernetes),
      metrics: { refused: (reason) => assert.fail(reason) },
      certify(_authenticate, { audit }) {
        begun.push(audit.peer);
        return begun.length === 1 ? held.promise : Promise.reject(away);
      },
    });
    t.after(stop);
    const retried = (name: string) => lines.some((line) => JSON.parse(line).request === name);
    const first = await ask(cart, { uri: CART, signerName });
    await until("the first to be worked on", () => begun.includes(first.name));
    await kubernetes.call("DELETE", `${REQUESTS}/${first.name}`);
    const second = await ask(cart, { uri: CART, signerName });
    // Seen behind the deletion, since events come in their order.
    await until("the second to be tried again", () => retried(second.name));
    held.reject(away);
    await until("the second to be tried once more", () => begun.filter((name) => name === second.name).length > 1);
    assert.equal(retried(first.name), false);
    assert.equal(begun.filter((name) => name === first.name).length, 1);
  });

  await t.test("another leader goes on with what was asked while nobody led", async () => {
    await mesh.stop();
    const [good, bad] = [await ask(cart, { uri: CART }), await ask(cart, { uri: `${CART}s` })];
    mesh = await start(true);
    await assertVerifies(t, kubernetes, await chainOf(good.name));
    assert.equal((await condition(bad.name, "Denied")).reason, "csr-other-names");
  });

  await t.test("of two replicas one signs, and the other goes on when it leaves", async (t) => {
    const second = await start(true);
    t.after(() => second.stop());
    const signedBefore = lines.length;
    const names: string[] = [];
    for (let count = 0; count < 6; count++) names.push((await ask(cart, { uri: CART })).name);
    await Promise.all(names.map(chainOf));
    // The one that leads has requests before it while it goes.
    const leaving = mesh.stop();
    for (let count = 0; count < 6; count++) names.push((await ask(cart, { uri: CART })).name);
    await leaving;
    for (const name of names) await assertVerifies(t, kubernetes, await chainOf(name));
    const signed = lines.slice(signedBefore).map((line) => JSON.parse(line));
    const counts = names.map((name) =>
      signed.filter((line) => line.msg === "certificate issued" && line.peer === name),
    );
    // Signed twice is where the first could not write it any more: but written it was once, and by one.
    for (const [index, { length }] of counts.entries())
      assert.ok(length >= 1 && length <= 2, `${names[index]}: ${length}`);
    assert.ok(
      counts.slice(0, 6).every(({ length }) => length === 1),
      "signed by one alone while both were there",
    );
    mesh = await start(true);
  });

  await t.test("where others approve, a request waits for them, and their word is respected", async () => {
    await mesh.stop();
    mesh = await start(false);
    const [approved, denied, other, pending] = [
      await ask(cart, { uri: CART }),
      await ask(cart, { uri: CART }),
      await ask(cart, { uri: "spiffe://cluster.local/ns/shop/sa/till" }),
      await ask(cart, { uri: CART }),
    ];
    await decide(kubernetes, denied.name, "Denied");
    await decide(kubernetes, other.name, "Approved");
    await decide(kubernetes, approved.name, "Approved");
    await chainOf(approved.name);
    assert.equal((await condition(other.name, "Failed")).reason, "csr-other-names", "approved, and still not its own");
    for (const { name } of [denied, other, pending]) assert.equal((await read(name)).status?.certificate, undefined);
    assert.deepEqual((await read(pending.name)).status, {});
  });
});

async function decide(kubernetes: TestKubernetes, name: string, type: "Approved" | "Denied"): Promise<void> {
  const { body } = await kubernetes.call("GET", `${REQUESTS}/${name}`);
  const conditions = [{ type, status: "True", reason: "AnAdministrator", message: "by hand" }];
  const answer = await kubernetes.call("PUT", `${REQUESTS}/${name}/approval`, { ...body, status: { conditions } });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

/** A client that is known by a token of the service account `shop/NAME`. */
async function accountClient(t: TestContext, kubernetes: TestKubernetes, name: string): Promise<KubernetesClient> {
  await create(kubernetes, `${SHOP}/serviceaccounts`, { metadata: { name } });
  await create(kubernetes, `${RBAC}/clusterrolebindings`, {
    metadata: { name: `requester-${name}` },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "requester" },
    subjects: [{ kind: "ServiceAccount", name, namespace: "shop" }],
  });
  const { body } = await kubernetes.call("POST", `${SHOP}/serviceaccounts/${name}/token`, { spec: {} });
  return kubernetesClient(t, { url: kubernetes.url, ca: kubernetes.rootPem, token: body.status.token });
}

async function csrOf(t: TestContext, keyPath: string, { uri, subject = "/" }: Wish): Promise<string> {
  const path = await temporaryPath(t, "csr.pem");
  const names = uri === undefined ? [] : ["-addext", `subjectAltName=URI:${uri}`];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", keyPath];
  await openssl("req", "-new", ...key, "-subj", subject, ...names, "-out", path);
  return readFile(path, "utf8");
}

async function assertVerifiesUnder(t: TestContext, roots: string, chainPem: string): Promise<void> {
  const chain = await temporaryPath(t, "chain.pem");
  await writeFile(chain, chainPem);
  await openssl("verify", "-x509_strict", "-CAfile", roots, "-untrusted", chain, chain);
}

/** By the roots that the mesh has published to the pods of the namespace. */
async function assertVerifies(t: TestContext, kubernetes: TestKubernetes, chainPem: string): Promise<void> {
  const { body } = await kubernetes.call("GET", `${SHOP}/configmaps/trysail-ca-root-cert`);
  const roots = await temporaryPath(t, "roots.pem");
  await writeFile(roots, body.data["root-cert.pem"]);
  await assertVerifiesUnder(t, roots, chainPem);
}

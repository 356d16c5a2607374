import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { TLSSocket } from "node:tls";
import { createCredentialSource } from "../../src/kubernetes/credential-source.ts";
import { createKubernetesSource } from "../../src/kubernetes/kubernetes-source.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing } from "../support/envoy.ts";
import { forwardTo, startJoinedEnvoy } from "../support/joined-envoy.ts";
import { openssl } from "../support/openssl.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { listenOn } from "../support/upstream.ts";
import { create } from "./create.ts";
import { everyIstioKind, installIstioKinds } from "./istio-crds.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import { findKubernetes } from "./programs.ts";
import { podClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";

/** Secrets of a real API server, which DestinationRules name by `credentialName`. */

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const SLOW = { timeoutMs: 30_000, everyMs: 50 };
const SHOP = "/api/v1/namespaces/shop";
const RULES = "/apis/networking.istio.io/v1/namespaces/shop/destinationrules";
const RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop";
const MERGE = "application/merge-patch+json";

const base64 = (text: string) => Buffer.from(text).toString("base64");
const secret = (name: string, data: Readonly<Record<string, string>>) => ({
  metadata: { name },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)])),
});
const rule = (mode: "SIMPLE" | "MUTUAL" = "MUTUAL") => ({
  apiVersion: "networking.istio.io/v1",
  kind: "DestinationRule",
  metadata: { name: "bank" },
  spec: {
    host: "bank.test",
    workloadSelector: { matchLabels: { app: "web" } },
    trafficPolicy: { tls: { mode, credentialName: "bank", sni: "good.test", subjectAltNames: ["good.test"] } },
  },
});

test("the Secrets that rules name are read, and no others", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  await create(kubernetes, "/api/v1/namespaces", { metadata: { name: "shop" } });
  const client = await podClient(t, kubernetes, {
    name: "trysail",
    rules: [
      {
        apiGroups: [""],
        resources: ["configmaps", "namespaces", "nodes", "pods", "services"],
        verbs: ["list", "watch"],
      },
      { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
      {
        apiGroups: ["networking.istio.io", "security.istio.io", "trysail.dev"],
        resources: ["*"],
        verbs: ["list", "watch"],
      },
    ],
  });
  await until("the role to hold", () => client.list("/api/v1/services").next());
  for (const name of ["bank", "other"]) await create(kubernetes, `${SHOP}/secrets`, secret(name, { "tls.key": "ONE" }));

  const lines: string[] = [];
  const common = {
    ...{ client, clock: systemClock, random: systemRandom },
    log: createLog("debug", { write: (line) => void lines.push(line) }),
    timing: { pollMs: 200 },
  };
  const source = createCredentialSource({ ...common, source: createKubernetesSource(common) });
  t.after(() => source.stop());
  await source.start();
  const secrets = () => source.current().objects.filter((object) => object.kind === "Secret");
  const messages = () => source.current().findings.map(({ message }) => message);
  const keyIs = (text: string) => () => secrets().some(({ data }) => data?.["tls.key"] === base64(text));
  assert.deepEqual(secrets(), []);

  await t.test("one that may not be read is told of on the rule", async () => {
    await create(kubernetes, RULES, rule());
    const [message, ...more] = await until("the finding", () => messages().length > 0 && messages(), SLOW);
    assert.deepEqual(more, []);
    assert.match(
      message ?? "",
      /^DestinationRule shop\/bank: spec\.trafficPolicy\.tls\.credentialName names Secret shop\/bank, which the control plane may not read: grant its service account list and watch on it by a Role in namespace shop$/,
    );
    assert.equal(source.current().findings[0]?.generation, 1);
  });

  await t.test("a Role for its name is enough", async () => {
    const rules = [{ apiGroups: [""], resources: ["secrets"], resourceNames: ["bank"], verbs: ["list", "watch"] }];
    await create(kubernetes, `${RBAC}/roles`, { metadata: { name: "bank" }, rules });
    await create(kubernetes, `${RBAC}/rolebindings`, {
      metadata: { name: "bank" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "bank" },
      subjects: [{ kind: "ServiceAccount", name: "trysail", namespace: "trysail-system" }],
    });
    await until("the Secret", keyIs("ONE"), SLOW);
    await until("no finding", () => messages().length === 0, SLOW);
    assert.deepEqual(
      secrets().map(({ metadata }) => metadata.name),
      ["bank"],
    );
    const kinds = source.current().objects.map(({ kind }) => kind);
    assert.deepEqual(kinds, kinds.toSorted(), "objects stay in order of their kinds");
  });

  await t.test("it is followed, and nothing of it is kept that no proxy needs", async () => {
    const data = { "tls.key": base64("TWO"), password: base64("hunter2") };
    await kubernetes.call("PATCH", `${SHOP}/secrets/bank`, { data }, MERGE);
    await until("the new one", keyIs("TWO"), SLOW);
    assert.deepEqual(Object.keys(secrets()[0]?.data ?? {}), ["tls.key"]);
  });

  await t.test("of one that is deleted the last version stays, and the rule says so until it is back", async () => {
    await kubernetes.call("DELETE", `${SHOP}/secrets/bank`);
    await until(
      "the finding",
      () => messages().some((message) => /was deleted: its last version stays/.test(message)),
      SLOW,
    );
    assert.ok(keyIs("TWO")());
    await create(kubernetes, `${SHOP}/secrets`, secret("bank", { "tls.key": "THREE" }));
    await until("the new one", keyIs("THREE"), SLOW);
    await until("no finding", () => messages().length === 0, SLOW);
  });

  await t.test("one that no rule names any more, or only for everybody, is forgotten", async () => {
    await kubernetes.call("PATCH", `${RULES}/bank`, { spec: { workloadSelector: null } }, MERGE);
    await until("no Secret", () => secrets().length === 0, SLOW);
    await kubernetes.call("PATCH", `${RULES}/bank`, { spec: rule().spec }, MERGE);
    await until("the Secret", keyIs("THREE"), SLOW);
    await kubernetes.call("DELETE", `${RULES}/bank`);
    await until("no Secret again", () => secrets().length === 0, SLOW);
  });

  await t.test("nothing secret is logged", () => {
    for (const value of ["ONE", "TWO", "THREE", "hunter2"]) {
      assert.ok(!lines.some((line) => line.includes(base64(value)) || line.includes(`"${value}"`)), value);
    }
  });
});

test("a real Envoy presents what a Secret holds now", {
  skip: skip || envoyMissing(),
  timeout: 240_000,
}, async (t) => {
  if ("missing" in found) return;
  const certificates = await makeCertificates(t);
  const port = await startBank(t, certificates);
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installIstioKinds(kubernetes, everyIstioKind);
  await deployBank(kubernetes, port);
  const credential = (name: string) => ({
    "tls.crt": certificates[`${name}.pem`] ?? "",
    "tls.key": certificates[`${name}.key`] ?? "",
    "ca.crt": certificates["root.pem"] ?? "",
  });
  await create(kubernetes, `${SHOP}/secrets`, secret("bank", credential("one")));
  const mesh = await testControlPlane(t, {}, { source: { kind: "kubeconfig", path: kubernetes.kubeconfig } });
  const { body } = await kubernetes.call("GET", "/api/v1/namespaces/trysail-system/secrets/trysail-ca-secret");
  const rootPem = Buffer.from(body.data["root-cert.pem"], "base64").toString();
  const envoy = await startJoinedEnvoy(t, mesh, {
    ...{ pod: "web-0", labels: { app: "web" }, listener: forwardTo("outbound|80||bank.test"), rootPem },
  });
  const forward = await envoy.listenerPort("forward");
  const presented = (name: string) =>
    until(`${name} to be presented`, async () => (await ask(forward)) === `URI:spiffe://elsewhere/${name}`, SLOW);
  const put = (name: string) =>
    kubernetes.call("PATCH", `${SHOP}/secrets/bank`, { data: secret("bank", credential(name)).data }, MERGE);
  const conditions = async (): Promise<readonly { type: string; status: string; message: string }[]> =>
    (await kubernetes.call("GET", `${RULES}/bank`)).body.status?.conditions ?? [];
  const programmed = (status: string) =>
    until(
      `Programmed=${status}`,
      async () => (await conditions()).find((held) => held.type === "Programmed" && held.status === status),
      SLOW,
    );

  await t.test("what it holds first", async () => {
    await presented("one");
  });

  await t.test("what it is changed to, with a rule that stays as it is", async () => {
    await put("two");
    await presented("two");
    await programmed("True");
  });

  await t.test("the last good one while it holds what Envoy refuses, in whose words the rule says so", async () => {
    await kubernetes.call("PATCH", `${SHOP}/secrets/bank`, { data: { "tls.key": base64("no key") } }, MERGE);
    const { message } = await programmed("False");
    assert.match(message, /^1 of 1 proxy refuses it and keeps what it had; web-0\.shop: .*(private key|PEM)/i);
    assert.doesNotMatch(message, /no key|BEGIN/);
    assert.equal(await ask(forward), "URI:spiffe://elsewhere/two");
    await put("three");
    await presented("three");
    await programmed("True");
  });

  await t.test("the last one once it is deleted", async () => {
    await kubernetes.call("DELETE", `${SHOP}/secrets/bank`);
    const { message = "" } = await until(
      "the rule to say so",
      async () => (await conditions()).find((held) => held.type === "ResolvedRefs" && held.status === "False"),
      SLOW,
    );
    assert.match(message, /names Secret shop\/bank, which was deleted: its last version stays in use/);
    assert.equal(await ask(forward), "URI:spiffe://elsewhere/three");
  });

  await t.test("no page of the control plane shows it", async () => {
    const token = await mesh.issuer.issue({
      ...{ namespace: "trysail-system", serviceAccount: "trysail", audience: "istio-ca", ttlMs: 60_000 },
    });
    const key = certificates["three.key"] ?? "";
    const middle = key.split("\n")[1] ?? "";
    assert.ok(middle.length > 20);
    for (const page of ["syncz", "findings", "status", "unmeshed"]) {
      const response = await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/${page}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const text = await response.text();
      assert.equal(response.status, 200);
      assert.ok(!text.includes(middle) && !text.includes(base64(key)), page);
    }
  });
});

/** PEM by file name: a root, a server called good.test, and three clients. */
async function makeCertificates(t: TestContext): Promise<Readonly<Record<string, string>>> {
  const folder = await temporaryPath(t, "certificates");
  await mkdir(folder);
  const path = (name: string) => join(folder, name);
  const make = async (name: string, ...more: string[]) => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
    const out = ["-keyout", path(`${name}.key`), "-out", path(`${name}.pem`), "-subj", `/CN=${name}`];
    await openssl("req", "-x509", ...key, ...out, ...more);
  };
  await make("root", "-addext", "keyUsage=keyCertSign,cRLSign");
  const below = ["-CA", path("root.pem"), "-CAkey", path("root.key"), "-addext"];
  await make("server", ...below, "subjectAltName=DNS:good.test");
  const clients = ["one", "two", "three"];
  for (const name of clients) await make(name, ...below, `subjectAltName=URI:spiffe://elsewhere/${name}`);
  const files = ["root", "server", ...clients].flatMap((name) => [`${name}.pem`, `${name}.key`]);
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await readFile(path(file), "utf8")])));
}

/** A server that asks for a certificate and answers whose it was. */
function startBank(t: TestContext, certificates: Readonly<Record<string, string>>): Promise<number> {
  const options = {
    ...{ cert: certificates["server.pem"], key: certificates["server.key"], ca: certificates["root.pem"] },
    requestCert: true,
  };
  const server = createServer(options, ({ socket }, response) => {
    assert.ok(socket instanceof TLSSocket);
    response.end(socket.getPeerX509Certificate()?.subjectAltName ?? "nobody");
  });
  return listenOn(t, server, "127.0.0.1");
}

/** Whom the bank took the caller for, over a new connection; undefined where there was none. */
function ask(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const outgoing = request({ host: "127.0.0.1", port, agent: false, headers: { connection: "close" } }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      answer.on("end", () => resolve(text));
    });
    outgoing.on("error", () => resolve(undefined));
    outgoing.end();
  });
}

/** The service, its rule, and the pod that the caller's proxy is beside. */
async function deployBank(kubernetes: KubernetesClient, port: number): Promise<void> {
  for (const name of ["trysail-system", "shop"]) await create(kubernetes, "/api/v1/namespaces", { metadata: { name } });
  await create(kubernetes, "/apis/networking.istio.io/v1/namespaces/shop/serviceentries", {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: "bank" },
    spec: {
      hosts: ["bank.test"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.1", ports: { http: port } }],
    },
  });
  await create(kubernetes, RULES, rule());
  await create(kubernetes, `${SHOP}/serviceaccounts`, { metadata: { name: "web" } });
  await create(kubernetes, `${SHOP}/pods`, {
    metadata: { name: "web-0", labels: { app: "web" } },
    spec: { serviceAccountName: "web", containers: [{ name: "app", image: "example.com/app:1" }] },
  });
}

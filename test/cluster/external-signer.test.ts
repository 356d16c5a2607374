import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { request as requestHttps } from "node:https";
import { type TestContext, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { Registry } from "prom-client";
import { reasonOf } from "../../src/ca/refusal.ts";
import { certificatesOf } from "../../src/ca/x509/pem-certificates.ts";
import { openIdentity } from "../../src/control-plane/identity.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { createExternalSigner } from "../../src/kubernetes/external-signer.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { type TestControlPlane, testControlPlane, testServeConfig } from "../support/control-plane.ts";
import { helmMissing } from "../support/helm.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { meshOf } from "../support/mesh.ts";
import { openssl } from "../support/openssl.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { chartAccount } from "./chart-account.ts";
import { create } from "./create.ts";
import { type SignerBehaviour, startOpensslSigner } from "./openssl-signer.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient } from "./service-account.ts";
import { startKubernetes, type TestKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;
const SIGNER = "ca.example.com/mesh";
const REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const ROOTS = "/api/v1/namespaces/trysail-system/configmaps";
const CART = { namespace: "shop", serviceAccount: "cart" };
const CART_ID = "spiffe://cluster.local/ns/shop/sa/cart";
/** How many are asked for at one time. */
const AT_ONCE = 64;
const SLOW = { timeoutMs: 30_000 };

test("a mesh whose certificates are signed by a signer of certificates.k8s.io", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, found.programs);
  const roots = { kind: "configmaps", name: "mesh-roots" } as const;
  const path = await chartAccount(t, kubernetes, {
    externalSigner: { signerName: SIGNER, roots: "configmaps/mesh-roots", approve: true },
  });
  const signer = await startOpensslSigner(t, kubernetes, SIGNER);
  const rootPem = await readFile(signer.rootPath, "utf8");
  await create(kubernetes, ROOTS, { metadata: { name: "mesh-roots" }, data: { "ca.crt": rootPem } });
  const lines: string[] = [];
  const log = createLog("warn", { write: (line) => lines.push(line) });
  const start = () =>
    testControlPlane(
      t,
      {},
      {
        source: { kind: "kubeconfig", path },
        externalSigner: { signerName: SIGNER, approves: true, roots },
      },
      log,
    );
  const mesh = await start();
  const token = await mesh.issuer.issue({ ...CART, ttlMs: 3_600_000 });
  const ask = async (uri?: string) => post(mesh, rootPem, token, await csrOf(t, uri));

  await t.test("a caller's own request is signed there, and openssl verifies the chain to its root", async (t) => {
    const { status, body } = await ask(CART_ID);
    assert.equal(status, 200, body);
    const [leaf, ...above] = certificatesOf(body);
    assert.equal(leaf?.subjectAltName, `URI:${CART_ID}`);
    assert.deepEqual(
      above.map(({ subject }) => subject),
      ["O=Example\nCN=mesh issuer"],
      "without the root",
    );
    await assertVerifies(t, signer.rootPath, body);
  });

  await t.test("a proxy without an agent gets a key and its certificate over its stream", async (t) => {
    const ads = openAds(t, { port: mesh.ports.grpc, rootPath: signer.rootPath }, token);
    ads.subscribe(sidecarNode("cart-1", CART.namespace, CART.serviceAccount), TYPE_URL.secret, ["default", "ROOTCA"]);
    const secrets = new Map<string, string>();
    while (secrets.size < 2) {
      for (const { name, resource } of (await ads.response()).resources) {
        const { type } = fromBinary(SecretSchema, resource?.value ?? new Uint8Array());
        const source =
          type.case === "tlsCertificate"
            ? type.value.certificateChain
            : type.case === "validationContext"
              ? type.value.trustedCa
              : undefined;
        const bytes = source?.specifier.case === "inlineBytes" ? source.specifier.value : new Uint8Array();
        secrets.set(name, Buffer.from(bytes).toString());
      }
    }
    assert.equal(secrets.get("ROOTCA"), new X509Certificate(rootPem).toString());
    const chainPem = secrets.get("default") ?? "";
    assert.equal(new X509Certificate(chainPem).subjectAltName, `URI:${CART_ID}`);
    await assertVerifies(t, signer.rootPath, chainPem);
  });

  await t.test("nothing that was asked stays behind", async () => {
    await until("the requests to be deleted", async () => (await requests(kubernetes)).length === 0, SLOW);
  });

  await t.test("a request that names nobody is refused, since the signer takes names from it", async () => {
    const { status, body } = await ask();
    assert.deepEqual([status, JSON.parse(body).reason], [400, "csr-lacks-name"]);
    const other = await ask("spiffe://cluster.local/ns/shop/sa/till");
    assert.deepEqual([other.status, JSON.parse(other.body).reason], [400, "csr-other-names"]);
    assert.deepEqual(await requests(kubernetes), []);
  });

  const wrong: readonly [SignerBehaviour, RegExp][] = [
    ["other-key", /it is for another key/],
    ["other-name", /its names are URI:spiffe:\/\/cluster\.local\/ns\/shop\/sa\/till, not/],
    ["other-root", /it leads to none of the roots/],
    ["clients-only", /it is not for TLS servers and clients alike/],
    ["authority", /it is an authority/],
  ];
  for (const [behaviour, problem] of wrong) {
    await t.test(`a certificate that was not asked for (${behaviour}) is given to nobody`, async () => {
      signer.behaviour = behaviour;
      const { status, body } = await ask(CART_ID);
      assert.deepEqual([status, JSON.parse(body)], [500, { error: "no certificate could be issued" }]);
      assert.match(lines.findLast((line) => line.includes("certificate refused")) ?? "", problem);
      signer.behaviour = "sign";
    });
  }

  await t.test("a signer that fails is told as that", async () => {
    signer.behaviour = "fail";
    const { status, body } = await ask(CART_ID);
    assert.deepEqual([status, JSON.parse(body).reason], [503, "signer-failed"]);
    assert.doesNotMatch(body, /Saturday/, "its reason is for the log");
    signer.behaviour = "sign";
  });

  await t.test("the authority cannot be turned here, and the answer says where", async () => {
    const admin = await mesh.issuer.issue({ namespace: "trysail-system", serviceAccount: "trysail", ttlMs: 60_000 });
    const headers = { authorization: `Bearer ${admin}` };
    const answer = await fetch(`http://127.0.0.1:${mesh.ports.http}/ca`, { headers });
    const error = "the mesh's authority is its --ca-signer: rotate it there";
    assert.deepEqual([answer.status, await answer.json()], [409, { error }]);
  });

  await t.test("roots are followed, and what cannot be used changes nothing", async () => {
    const bundle = async () => get(mesh, rootPem, "/v1/trust-bundle");
    const put = (text: string) =>
      kubernetes.call("PATCH", `${ROOTS}/mesh-roots`, { data: { "ca.crt": text } }, "application/merge-patch+json");
    const before = await bundle();
    assert.equal(before, new X509Certificate(rootPem).toString());
    await put("nothing");
    const usable = async () => {
      const text = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
      return /^trysail_authority_source_usable (\d)$/m.exec(text)?.[1];
    };
    await until("it to be noticed", async () => (await usable()) === "0", SLOW);
    assert.equal(await bundle(), before);
    const second = await startOpensslSigner(t, kubernetes, "ca.example.com/unused");
    await put(rootPem + (await readFile(second.rootPath, "utf8")));
    await until("both roots", async () => certificatesOf(await bundle()).length === 2, SLOW);
    assert.equal(await usable(), "1");
  });

  await t.test("where others approve, nobody is answered before they have, and a denial is told as that", async (t) => {
    const admin = await adminClient(t, kubernetes);
    const clock = createManualClock(Date.now());
    const asked = createExternalSigner({
      ...{ client: admin, clock, random: systemRandom, log: createLog("silent"), signerName: SIGNER, approves: false },
    });
    t.after(() => asked.stop());
    const csrPem = await csrOf(t, CART_ID);
    const sign = () => asked.sign({ csrPem, purpose: CART_ID, ttlMs: 3_600_000 });
    const next = () => until("the request", async () => (await requests(kubernetes))[0]);

    const approved = sign();
    await decide(kubernetes, (await next()).metadata.name, "Approved");
    assert.equal(new X509Certificate(await approved).subjectAltName, `URI:${CART_ID}`);
    await until("the request to be deleted", async () => (await requests(kubernetes)).length === 0);

    const denied = assert.rejects(sign(), { code: "permission-denied", reason: "signer-denied" });
    const { metadata, spec } = await next();
    assert.equal(metadata.annotations["trysail.io/purpose"], CART_ID);
    assert.deepEqual(spec.usages, ["digital signature", "server auth", "client auth"]);
    await decide(kubernetes, metadata.name, "Denied");
    await denied;
    await until("the request to be deleted", async () => (await requests(kubernetes)).length === 0);

    const reason = { code: "unavailable", reason: "signer-unavailable", message: /within 30 s/ };
    const unanswered = assert.rejects(sign(), reason);
    await next();
    clock.advance(30_000);
    await unanswered;
    await until("the request to be deleted", async () => (await requests(kubernetes)).length === 0);
  });

  await t.test("who waits for a turn while the signer is away is sent away within half a minute", async (t) => {
    const clock = createManualClock(Date.now() + 60_000);
    const [dir, stateDir] = [await temporaryPath(t, "manifests"), await temporaryPath(t, "state")];
    const externalSigner = { signerName: SIGNER, approves: true, roots };
    const identity = await openIdentity({
      config: { ...testServeConfig(dir, stateDir), source: { kind: "kubeconfig", path }, externalSigner },
      platform: { clock, random: systemRandom, log: createLog("silent"), registry: new Registry() },
      ...{ kubernetes: await adminClient(t, kubernetes), events: null, instance: "trysail-0" },
      ...{ mesh: () => meshOf(""), waitFor() {} },
    });
    t.after(() => identity.stop());
    signer.behaviour = "ignore";
    const csr = await csrOf(t, CART_ID);
    const audit = { protocol: "kubernetes", peer: "test" } as const;
    const reasons: string[] = [];
    for (let asked = 0; asked < AT_ONCE + 2; asked++) {
      identity
        .certifyRequester(async () => ({ ...CART, trustDomain: "cluster.local" }), { csr, ttlMs: undefined, audit })
        .catch((error: unknown) => reasons.push(reasonOf(error)));
    }
    await until("the signer to be asked", async () => (await requests(kubernetes)).length === AT_ONCE, SLOW);
    clock.advance(29_999);
    assert.deepEqual([(await requests(kubernetes)).length, reasons], [AT_ONCE, []]);
    clock.advance(1);
    await until("all to be answered", () => reasons.length === AT_ONCE + 2);
    const count = (reason: string) => reasons.filter((each) => each === reason).length;
    assert.deepEqual([count("signer-unavailable"), count("overloaded")], [AT_ONCE, 2]);
    await until("the requests to be deleted", async () => (await requests(kubernetes)).length === 0, SLOW);
    signer.behaviour = "sign";
  });

  await t.test("without usable roots there is no start", async () => {
    await kubernetes.call("DELETE", `${ROOTS}/mesh-roots`);
    await assert.rejects(start(), {
      code: "failed-precondition",
      message: /mesh-roots in trysail-system is missing/,
    });
  });
});

async function requests(kubernetes: TestKubernetes) {
  return (await kubernetes.call("GET", REQUESTS)).body.items;
}

async function decide(kubernetes: TestKubernetes, name: string, type: "Approved" | "Denied"): Promise<void> {
  const { body } = await kubernetes.call("GET", `${REQUESTS}/${name}`);
  const conditions = [{ type, status: "True", reason: "AnAdministrator", message: "by hand" }];
  const answer = await kubernetes.call("PUT", `${REQUESTS}/${name}/approval`, { ...body, status: { conditions } });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function csrOf(t: TestContext, uri: string | undefined): Promise<string> {
  const [key, path] = [await temporaryPath(t, "key.pem"), await temporaryPath(t, "csr.pem")];
  const names = uri === undefined ? [] : ["-addext", `subjectAltName=critical,URI:${uri}`];
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", "/"];
  await openssl("req", "-new", ...made, ...names, "-out", path);
  return readFile(path, "utf8");
}

async function assertVerifies(t: TestContext, rootPath: string, chainPem: string): Promise<void> {
  const chain = await temporaryPath(t, "chain.pem");
  await writeFile(chain, chainPem);
  await openssl("verify", "-x509_strict", "-CAfile", rootPath, "-untrusted", chain, chain);
}

/** Over TLS that trusts the external root alone: so the control plane's own certificate is one of its. */
function exchange(
  { ports }: TestControlPlane,
  ca: string,
  {
    method,
    path,
    headers = {},
    body,
  }: { method: string; path: string; headers?: Record<string, string>; body?: string },
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = requestHttps({ host: "localhost", port: ports.https, ca, method, path, headers, agent: false });
    sent.on("error", reject);
    sent.on("response", (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: text }));
    });
    sent.end(body);
  });
}

function post(mesh: TestControlPlane, ca: string, token: string, csr: string) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "text/plain" };
  return exchange(mesh, ca, { method: "POST", path: "/v1/certificates?ttlSeconds=3600", headers, body: csr });
}

async function get(mesh: TestControlPlane, ca: string, path: string): Promise<string> {
  return (await exchange(mesh, ca, { method: "GET", path })).body;
}

import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { uriName } from "../../src/ca/x509/extensions.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { identityOf } from "../support/caller.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { buildCsr, csrPem } from "../support/csr.ts";

const METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const CART_ID = "spiffe://cluster.local/ns/shop/sa/cart";
const AGENT = { namespace: "kube-system", serviceAccount: "agent", pod: { name: "agent-1", uid: "uid-agent-1" } };

interface Asking {
  readonly token?: string;
  readonly csr?: string;
  readonly validitySeconds?: number;
  readonly metadata?: JsonObject;
  readonly client?: { readonly chainPem: string; readonly keyPem: string };
  /** In place of a request. */
  readonly bytes?: Uint8Array;
}

const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const keyPem = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const requestFor = (...uris: string[]) => csrPem(buildCsr({ keys, names: uris.map(uriName) }));

/** A client by proto/istio/v1/auth/ca.proto; answers `cert_chain`. */
function create(t: TestContext, mesh: TestControlPlane, asking: Asking): Promise<string[]> {
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text));
  const { chainPem, keyPem: privateKey } = asking.client ?? {};
  const tls = credentials.createSsl(readFileSync(mesh.rootPath), pem(privateKey), pem(chainPem));
  const client = new Client(`localhost:${mesh.ports.grpc}`, tls);
  t.after(() => client.close());
  const metadata = new Metadata();
  if (asking.token !== undefined) metadata.set("authorization", `Bearer ${asking.token}`);
  const bytes = Buffer.from(asking.bytes ?? encode(asking));
  const asIs = (buffer: Buffer) => buffer;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(METHOD, asIs, asIs, bytes, metadata, (error, answer) =>
      error === null ? resolve(decode(answer ?? Buffer.alloc(0))) : reject(error),
    );
  });
}

function encode({ csr = requestFor(CART_ID), validitySeconds = 0, metadata }: Asking): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(csr);
  writer.tag(3, WireType.Varint).int64(validitySeconds);
  if (metadata !== undefined) {
    writer.tag(4, WireType.LengthDelimited).bytes(toBinary(StructSchema, fromJson(StructSchema, metadata)));
  }
  return writer.finish();
}

function decode(answer: Uint8Array): string[] {
  const reader = new BinaryReader(answer);
  const chain: string[] = [];
  while (reader.pos < reader.len) {
    assert.deepEqual(reader.tag(), [1, WireType.LengthDelimited]);
    chain.push(reader.string());
  }
  return chain;
}

const tokenOf = (mesh: TestControlPlane, account: Omit<Parameters<typeof mesh.issuer.issue>[0], "ttlMs">) =>
  mesh.issuer.issue({ ...account, ttlMs: 60_000 });
const tokenOfCart = (mesh: TestControlPlane) => tokenOf(mesh, { namespace: "shop", serviceAccount: "cart" });
const nameIn = (chain: readonly string[]) => new X509Certificate(chain[0] ?? "").subjectAltName;

test("a token and a request are answered by the leaf first and the roots last", async (t) => {
  const mesh = await testControlPlane(t, {});
  const chain = await create(t, mesh, { token: await tokenOfCart(mesh), validitySeconds: 600 });
  assert.equal(chain.length, 2, "nothing stands between the leaf and a self-signed root");
  assert.equal(chain.at(-1), readFileSync(mesh.rootPath, "utf8"));
  const [leaf, root] = chain.map((pem) => new X509Certificate(pem));
  assert.ok(leaf !== undefined && root !== undefined);
  assert.ok(leaf.verify(root.publicKey) && leaf.checkPrivateKey(keys.privateKey));
  assert.equal(leaf.subjectAltName, `URI:${CART_ID}`);
  const lifeSeconds = (leaf.validToDate.getTime() - Date.now()) / 1000;
  assert.ok(lifeSeconds > 540 && lifeSeconds <= 600, `it lives for ${lifeSeconds} s`);
});

test("what cannot be answered is refused with Istio's code, and nothing of the cause is told", async (t) => {
  const mesh = await testControlPlane(t, {});
  const token = await tokenOfCart(mesh);
  const otherAudience = await tokenOf(mesh, { namespace: "shop", serviceAccount: "cart", audience: "api" });
  const { UNAUTHENTICATED, INVALID_ARGUMENT } = status;
  const table: { title: string; asking: Asking; code: status; details: RegExp }[] = [
    { title: "no token", asking: {}, code: UNAUTHENTICATED, details: /^no token$/ },
    { title: "no JWT", asking: { token: "hello" }, code: UNAUTHENTICATED, details: /^token is malformed$/ },
    { title: "another audience", asking: { token: otherAudience }, code: UNAUTHENTICATED, details: /audience/ },
    { title: "no request", asking: { token, csr: "" }, code: INVALID_ARGUMENT, details: /^not a certificate signing/ },
    {
      title: "another's name",
      asking: { token, csr: requestFor("spiffe://cluster.local/ns/shop/sa/bank") },
      code: INVALID_ARGUMENT,
      details: /other names than the caller's/,
    },
    {
      title: "several names",
      asking: { token, csr: requestFor(CART_ID, CART_ID) },
      code: INVALID_ARGUMENT,
      details: /several URIs/,
    },
    { title: "100 KB", asking: { token, csr: "A".repeat(100_000) }, code: INVALID_ARGUMENT, details: /at most$/ },
    {
      title: "no message",
      asking: { token, bytes: Buffer.from([0x0a, 0xff]) },
      code: INVALID_ARGUMENT,
      details: /^not an IstioCertificateRequest$/,
    },
    {
      title: "metadata of another type",
      asking: { token, metadata: { ImpersonatedIdentity: 1 } },
      code: INVALID_ARGUMENT,
      details: /something but a text/,
    },
    {
      title: "impersonation by a workload",
      asking: { token, metadata: { ImpersonatedIdentity: "spiffe://cluster.local/ns/shop/sa/bank" } },
      code: UNAUTHENTICATED,
      details: /^the caller may not have this identity$/,
    },
  ];
  for (const { title, asking, code, details } of table) {
    await assert.rejects(create(t, mesh, asking), (error: unknown) => {
      assert.ok(error instanceof Error && "code" in error && "details" in error, title);
      assert.equal(error.code, code, title);
      assert.match(String(error.details), details, title);
      return true;
    });
  }
});

test("a certificate of the mesh renews itself without a token, and one that only looks like it does not", async (t) => {
  const mesh = await testControlPlane(t, {});
  const chain = await create(t, mesh, { token: await tokenOfCart(mesh) });
  assert.equal(nameIn(await create(t, mesh, { client: { chainPem: chain[0] ?? "", keyPem } })), `URI:${CART_ID}`);
  const foreign = await temporaryAuthority(t, systemClock);
  const forged = await identityOf(foreign, { namespace: "shop", serviceAccount: "cart" });
  await assert.rejects(create(t, mesh, { client: forged }), { code: status.UNAUTHENTICATED });
});

test("a trusted node agent has certificates for the pods of its own node, and for no others", async (t) => {
  const pod = (name: string, namespace: string, account: string, node: string, phase = "Running") =>
    JSON.stringify({
      ...{ apiVersion: "v1", kind: "Pod" },
      metadata: { name, namespace, uid: `uid-${name}` },
      spec: { nodeName: node, serviceAccountName: account, containers: [{ name: "app", image: "app" }] },
      status: { phase },
    });
  const mesh = await testControlPlane(
    t,
    {
      "agent.yaml": pod("agent-1", "kube-system", "agent", "node-1"),
      "cart.yaml": pod("cart-1", "shop", "cart", "node-1"),
      "bank.yaml": pod("bank-1", "shop", "bank", "node-2"),
      "done.yaml": pod("done-1", "shop", "done", "node-1", "Succeeded"),
    },
    { trustedNodeAccounts: ["kube-system/agent"] },
  );
  const ask = async (id: string, agent: Parameters<typeof tokenOf>[1] = AGENT) =>
    create(t, mesh, {
      token: await tokenOf(mesh, agent),
      csr: requestFor(id),
      metadata: { ImpersonatedIdentity: id, ClusterID: "Kubernetes" },
    });
  assert.equal(nameIn(await ask(CART_ID)), `URI:${CART_ID}`);
  const refused = { code: status.UNAUTHENTICATED, details: "the caller may not have this identity" };
  await assert.rejects(ask("spiffe://cluster.local/ns/shop/sa/bank"), refused, "on another node");
  await assert.rejects(ask("spiffe://cluster.local/ns/shop/sa/done"), refused, "has ended");
  await assert.rejects(ask("spiffe://cluster.local/ns/other/sa/cart"), refused, "in another namespace");
  await assert.rejects(ask("spiffe://other.example/ns/shop/sa/cart"), refused, "in another trust domain");
  await assert.rejects(ask("spiffe://cluster.local/ns/shop/sa/%63art"), refused, "written another way");
  const gone = { ...AGENT, pod: { name: "agent-1", uid: "uid-before" } };
  await assert.rejects(ask(CART_ID, gone), refused, "an agent whose pod was replaced");
  await assert.rejects(ask(CART_ID, { namespace: "kube-system", serviceAccount: "agent" }), refused, "bound to no pod");
});

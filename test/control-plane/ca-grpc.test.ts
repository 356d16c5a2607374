import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHmac, createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { fromJson, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import { decodeJwt, type JWTPayload, SignJWT } from "jose";
import type { RefusalReason } from "../../src/ca/refusal.ts";
import { uriName } from "../../src/ca/x509/extensions.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { identityOf } from "../support/caller.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { buildCsr, csrPem } from "../support/csr.ts";
import { refusals } from "../support/refusals.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
const CART = { namespace: "shop", serviceAccount: "cart" };
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
const tokenOfCart = (mesh: TestControlPlane) => tokenOf(mesh, CART);
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

test("what cannot be answered is refused with Istio's code, counted and logged by its reason, and nothing of the cause is told", async (t) => {
  const lines: string[] = [];
  const mesh = await testControlPlane(t, {}, {}, createLog("debug", { write: (line) => void lines.push(line) }));
  const token = await tokenOfCart(mesh);
  const otherAudience = await tokenOf(mesh, { ...CART, audience: "api" });
  const elsewhere = await tokenOfCart(await testControlPlane(t, {}));
  const foreign = await identityOf(await temporaryAuthority(t, systemClock), CART);
  const issuerKey = createPrivateKey({
    key: JSON.parse(readFileSync(join(mesh.stateDir, "issuer/key.jwk"), "utf8")),
    format: "jwk",
  });
  const claims = decodeJwt(token);
  const seconds = Math.floor(Date.now() / 1000);
  const signed = (changes: JWTPayload) =>
    new SignJWT({ ...claims, ...changes }).setProtectedHeader({ alg: "ES256" }).sign(issuerKey);
  const forged = await new SignJWT(claims).setProtectedHeader({ alg: "ES256" }).sign(keys.privateKey);
  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const unsigned = (alg: string) => `${encoded({ alg })}.${encoded(claims)}`;
  const publicPem = mesh.issuer.publicKey.export({ type: "spki", format: "pem" });
  const hmac = createHmac("sha256", publicPem).update(unsigned("HS256")).digest("base64url");

  const tokens: [title: string, token: string, reason: RefusalReason, details: RegExp][] = [
    ["no JWT", "hello", "token-malformed", /^token is malformed$/],
    ["another audience", otherAudience, "token-wrong-audience", /audience/],
    ["a token of another mesh", elsewhere, "token-bad-signature", /^token not signed by this mesh's issuer$/],
    ["a forged token", forged, "token-bad-signature", /not signed/],
    ["alg none", `${unsigned("none")}.`, "token-bad-signature", /not signed/],
    ["HS256 with the public key", `${unsigned("HS256")}.${hmac}`, "token-bad-signature", /not signed/],
    ["another issuer", await signed({ iss: "https://a.example" }), "token-untrusted-issuer", /does not trust$/],
    ["an expired token", await signed({ exp: seconds - 31 }), "token-expired", /^token expired at/],
    ["a token of tomorrow", await signed({ nbf: seconds + 86_400 }), "token-not-yet-valid", /not valid before/],
    ["a token without an end", await signed({ exp: undefined }), "token-lacks-claim", /^token lacks a claim$/],
    ["a user's token", await signed({ sub: "root" }), "token-no-workload", /does not name a workload$/],
    ["17 KB of token", `a.${"a".repeat(17 * 1024)}.a`, "token-too-long", /^token is too long$/],
  ];
  const names = (...uris: string[]) => ({ token, csr: requestFor(...uris) });
  const keyed = (content: Parameters<typeof buildCsr>[0]) => ({ token, csr: csrPem(buildCsr(content)) });
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const requests: [title: string, asking: Asking, reason: RefusalReason, details: RegExp][] = [
    ["no request", { token, csr: "" }, "csr-malformed", /^not a certificate signing/],
    ["a request cut off", { token, csr: requestFor(CART_ID).slice(0, 200) }, "csr-malformed", /^not a certificate/],
    ["a certificate", { token, csr: foreign.chainPem }, "csr-malformed", /^not a certificate signing/],
    ["RSA 1024", keyed({ keys: generateKeyPairSync("rsa", { modulusLength: 1024 }) }), "csr-weak-key", /1024 bits/],
    [
      "P-192",
      keyed({ keys: generateKeyPairSync("ec", { namedCurve: "prime192v1" }) }),
      "csr-unsupported-key",
      /must be P-256/,
    ],
    [
      "another key's signature",
      keyed({ keys: { ...keys, privateKey: other.privateKey } }),
      "csr-bad-signature",
      /not signed by its own key/,
    ],
    ["another's name", names("spiffe://cluster.local/ns/shop/sa/bank"), "csr-other-names", /other names than the/],
    ["a way up", names(`${CART_ID}/../bank`), "csr-other-names", /other names than the/],
    ["an escaped way up", names(CART_ID.replace("cart", "%2e%2e/bank")), "csr-other-names", /other names than the/],
    ["an empty segment", names(CART_ID.replace("/sa", "//sa")), "csr-other-names", /other names than the/],
    ["letters that look alike", names(CART_ID.replace("cart", "c\u0430rt")), "csr-other-names", /other names than/],
    ["several names", names(CART_ID, CART_ID), "csr-other-names", /several URIs/],
    ["hundreds of names", names(...Array<string>(290).fill(CART_ID)), "csr-other-names", /too many names/],
    ["thousands of names", names(...Array<string>(4000).fill(CART_ID)), "csr-too-large", /at most$/],
    ["a megabyte", { token, csr: "A".repeat(1 << 20) }, "csr-too-large", /at most$/],
    ["no message", { token, bytes: Buffer.from([0x0a, 0xff]) }, "bad-request", /^not an IstioCertificateRequest$/],
    [
      "metadata of another type",
      { token, metadata: { ImpersonatedIdentity: 1 } },
      "bad-request",
      /something but a text/,
    ],
    [
      "impersonation by a workload",
      { token, metadata: { ImpersonatedIdentity: "spiffe://cluster.local/ns/shop/sa/bank" } },
      "impersonation",
      /^the caller may not have this identity$/,
    ],
  ];
  const table: typeof requests = [
    ["no token", {}, "no-credentials", /^no token$/],
    ["a certificate of another root", { client: foreign }, "no-credentials", /^no token$/],
    ...tokens.map(([title, bad, ...told]): (typeof requests)[number] => [title, { token: bad }, ...told]),
    ...requests,
  ];
  for (const [title, asking, reason, details] of table) {
    await assert.rejects(create(t, mesh, asking), (error: unknown) => {
      assert.ok(error instanceof Error && "code" in error && "details" in error, title);
      const isRequest = reason.startsWith("csr-") || reason === "bad-request";
      assert.equal(error.code, isRequest ? status.INVALID_ARGUMENT : status.UNAUTHENTICATED, title);
      assert.match(String(error.details), details, title);
      return true;
    });
  }
  const counted = Map.groupBy(table, ([, , reason]) => reason);
  const expected = Object.fromEntries([...counted].map(([reason, rows]) => [reason, rows.length]));
  assert.deepEqual(Object.fromEntries(await refusals(mesh)), expected);
  const logged = lines.map((line) => JSON.parse(line)).filter(({ reason }) => reason !== undefined);
  assert.deepEqual(
    logged.map(({ protocol, reason }) => `${protocol} ${reason}`),
    table.map(([, , reason]) => `grpc ${reason}`),
  );
  const secrets = [token, otherAudience, elsewhere, forged, foreign.keyPem];
  for (const secret of secrets) assert.ok(!lines.join("").includes(secret.trim().slice(-60)), "a secret is in the log");
  assert.equal(nameIn(await create(t, mesh, { token })), `URI:${CART_ID}`);
});

test("under an intermediate the answer is the leaf, then the intermediates, then the root, each signed by the next", async (t) => {
  const out = await temporaryPath(t, "certs");
  const certs = new URL("../../certs", import.meta.url).pathname;
  for (const target of ["root", "intermediate"]) await run("make", ["-s", "-C", certs, target, `OUT=${out}`]);
  const mesh = await testControlPlane(t, {}, { caDir: join(out, "cluster-1") });
  const chain = await create(t, mesh, { token: await tokenOfCart(mesh) });
  const pemOf = (name: string) => readFileSync(join(out, "cluster-1", name), "utf8");
  assert.deepEqual(chain.slice(1), [pemOf("ca-cert.pem"), pemOf("root-cert.pem")]);
  const [leaf, intermediate, root] = chain.map((pem) => new X509Certificate(pem));
  assert.ok(leaf && intermediate && root);
  assert.ok(leaf.verify(intermediate.publicKey) && intermediate.verify(root.publicKey));
});

test("a certificate of the mesh renews itself without a token, and one that only looks like it does not", async (t) => {
  const mesh = await testControlPlane(t, {});
  const chain = await create(t, mesh, { token: await tokenOfCart(mesh) });
  assert.equal(nameIn(await create(t, mesh, { client: { chainPem: chain[0] ?? "", keyPem } })), `URI:${CART_ID}`);
  const foreign = await temporaryAuthority(t, systemClock);
  const forged = await identityOf(foreign, CART);
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

  const policy = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "revoked", namespace: "trysail-system", labels: { "trysail.io/revokes-identities": "true" } },
    spec: {
      action: "DENY",
      rules: [{ from: [{ source: { principals: ["cluster.local/ns/kube-system/sa/agent"] } }] }],
    },
  };
  await writeFile(join(mesh.dir, "revoked.yaml"), JSON.stringify(policy));
  const denied = async () =>
    (await ask(CART_ID).catch((error: Error & { code?: number }) => error.code)) === status.PERMISSION_DENIED;
  await until("an agent that is revoked to be nobody else either", denied);
});

import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Client, credentials, status } from "@grpc/grpc-js";
import { createLog } from "../../src/platform/log.ts";
import { type TestControlPlane, testControlPlane } from "../support/control-plane.ts";
import { buildCsr, csrPem } from "../support/csr.ts";
import { openssl } from "../support/openssl.ts";
import { postCertificateRequest } from "../support/post-certificate-request.ts";
import { refusals } from "../support/refusals.ts";
import { temporaryPath } from "../support/state.ts";

/**
 * Certificates that the mesh's own root has signed, and that openssl therefore accepts, but that are none of a workload:
 * shown over TLS to a whole control plane, by both of its protocols.
 */

const CART_ID = "spiffe://cluster.local/ns/shop/sa/cart";
const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const keyPem = keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const csr = csrPem(buildCsr({ keys }));
const BOTH_WAYS = "extendedKeyUsage=serverAuth,clientAuth";
const named = (...names: string[]) => [`subjectAltName=critical,${names.join()}`, BOTH_WAYS];
const uri = (id: string) => `URI:${id}`;

interface Shown {
  readonly title: string;
  readonly extensions: readonly string[];
  readonly days?: number;
  readonly says: string;
}

const NO_WORKLOAD = "the client certificate names no workload";
const refused: Shown[] = [
  {
    title: "of another trust domain",
    extensions: named("URI:spiffe://other.example/ns/shop/sa/cart"),
    says: "the client certificate is of another trust domain",
  },
  { title: "with a host's name", extensions: named("DNS:trysail.trysail-system.svc"), says: NO_WORKLOAD },
  { title: "without a name", extensions: [BOTH_WAYS], says: NO_WORKLOAD },
  { title: "with two ids", extensions: named(uri(CART_ID), uri(`${CART_ID}-2`)), says: NO_WORKLOAD },
  { title: "with a host's name beside the id", extensions: named(uri(CART_ID), "DNS:bank"), says: NO_WORKLOAD },
  { title: "with a way up", extensions: named(uri("spiffe://cluster.local/ns/shop/sa/x/../cart")), says: NO_WORKLOAD },
  { title: "with an escaped letter", extensions: named(uri(CART_ID.replace("c", "%63"))), says: NO_WORKLOAD },
  {
    title: "of an authority",
    extensions: [...named(uri(CART_ID)), "basicConstraints=critical,CA:TRUE"],
    says: "the client certificate is one of an authority",
  },
  {
    title: "that says nothing of clients",
    extensions: [`subjectAltName=critical,${uri(CART_ID)}`],
    says: "the client certificate is not for clients",
  },
];
/** What TLS itself does not accept is none, and so its bearer has shown nothing. */
const none: Shown[] = [
  { title: "that has expired", extensions: named(uri(CART_ID)), days: -1, says: "no token" },
  {
    title: "for servers alone",
    extensions: [`subjectAltName=critical,${uri(CART_ID)}`, "extendedKeyUsage=serverAuth"],
    says: "no token",
  },
];

test("a client certificate of the mesh's root that is no workload's is refused over both protocols, and counted", async (t) => {
  const lines: string[] = [];
  const mesh = await testControlPlane(t, {}, {}, createLog("debug", { write: (line) => void lines.push(line) }));
  const sign = await signerOf(t, mesh);
  const good = await sign({ extensions: named(uri(CART_ID)) });
  assert.equal((await askHttps(mesh, good)).status, 200, "so the refusals below are for their own reasons");
  assert.equal((await askGrpc(t, mesh, good)).code, status.OK);
  for (const [table, reason] of [
    [refused, "client-certificate"],
    [none, "no-credentials"],
  ] as const) {
    for (const { title, says, ...content } of table) {
      const chainPem = await sign(content);
      const answer = await askHttps(mesh, chainPem);
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [401, { error: says, reason }], title);
      assert.deepEqual(await askGrpc(t, mesh, chainPem), { code: status.UNAUTHENTICATED, details: says }, title);
    }
  }
  assert.deepEqual(Object.fromEntries(await refusals(mesh)), {
    "client-certificate": 2 * refused.length,
    "no-credentials": 2 * none.length,
  });
  assert.doesNotMatch(lines.join(""), /PRIVATE KEY/);
});

/** Has openssl sign such a certificate for `keys` with the mesh's own key; answers it in PEM. */
async function signerOf(t: TestContext, { stateDir, rootPath }: TestControlPlane) {
  const [state = ""] = (await readdir(join(stateDir, "ca"))).filter((name) => name.startsWith("authority-"));
  const { active } = JSON.parse(await readFile(join(stateDir, "ca", state), "utf8"));
  const [key, requested] = [await temporaryPath(t, "root-key.pem"), await temporaryPath(t, "csr.pem")];
  await writeFile(key, active.keyPem);
  await writeFile(requested, csr);
  return async ({ extensions, days = 1 }: Pick<Shown, "extensions" | "days">) => {
    const config = await temporaryPath(t, "extensions");
    await writeFile(config, extensions.join("\n"));
    const from = ["-in", requested, "-CA", rootPath, "-CAkey", key, "-extfile", config];
    return openssl("x509", "-req", ...from, "-days", String(days));
  };
}

async function askHttps(mesh: TestControlPlane, chainPem: string) {
  const shown = { ca: await readFile(mesh.rootPath), cert: chainPem, key: keyPem };
  return postCertificateRequest(mesh, csr, { ...shown, headers: { "content-type": "text/plain" } });
}

async function askGrpc(t: TestContext, { ports, rootPath }: TestControlPlane, chainPem: string) {
  const tls = credentials.createSsl(await readFile(rootPath), Buffer.from(keyPem), Buffer.from(chainPem));
  const client = new Client(`localhost:${ports.grpc}`, tls);
  t.after(() => client.close());
  const asIs = (bytes: Buffer) => bytes;
  const bytes = Buffer.from(new BinaryWriter().tag(1, WireType.LengthDelimited).string(csr).finish());
  const method = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
  return new Promise<{ readonly code: status; readonly details: string }>((resolve) => {
    client.makeUnaryRequest(method, asIs, asIs, bytes, (error, answer) => {
      if (error !== null) return resolve({ code: error.code, details: error.details });
      const pem = /-----BEGIN[\s\S]*?-----END CERTIFICATE-----/.exec(answer?.toString("latin1") ?? "")?.[0] ?? "";
      resolve({ code: status.OK, details: new X509Certificate(pem).subjectAltName ?? "" });
    });
  });
}

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { connect as connectTcp } from "node:net";
import { type TestContext, test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import { createCertificates } from "../support/certificates.ts";
import { envoyMissing } from "../support/envoy.ts";
import { askOn, GATEWAY_LABELS, GATEWAY_PORT, startJoinedGateway } from "../support/joined-gateway.ts";
import { istio, secret } from "../support/manifests.ts";
import { until } from "../support/until.ts";

/** What servers of a Gateway say of their TLS and address beside the mode, at a real Envoy that joined a control plane. */

const IP = "127.0.0.96";
const OTHER_IP = "127.0.0.97";

async function startEdge(t: TestContext) {
  const certificates = await createCertificates(t);
  const { path, read, root, leaf, revoke } = certificates;
  for (const name of ["root", "partners"]) await root(name);
  for (const key of ["EC", "RSA"] as const) await leaf(key, { by: "root", san: "DNS:*.test", key });
  for (const name of ["good", "second", "revoked"]) await leaf(name, { by: "partners", san: `DNS:${name}.test` });
  await leaf("stranger", { by: "root", san: "DNS:good.test" });
  await revoke("partners", "revoked");
  const good = new X509Certificate(await read("good.pem"));
  const spki = createHash("sha256")
    .update(good.publicKey.export({ type: "spki", format: "der" }))
    .digest("base64");
  const own = { credentialName: "ec" };
  const partners = { mode: "MUTUAL", ...own, caCertCredentialName: "partners" };
  const servers: Record<string, object> = {
    several: { mode: "SIMPLE", credentialNames: ["ec", "rsa"] },
    old: { mode: "SIMPLE", ...own, maxProtocolVersion: "TLSV1_2" },
    chosen: {
      mode: "SIMPLE",
      ...own,
      maxProtocolVersion: "TLSV1_2",
      cipherSuites: ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"],
    },
    partners,
    key: { ...partners, verifyCertificateSpki: [spki] },
    hash: { ...partners, verifyCertificateHash: [good.fingerprint256] },
    either: { ...partners, verifyCertificateSpki: [spki], verifyCertificateHash: ["0".repeat(64)] },
    revocations: {
      mode: "MUTUAL",
      serverCertificate: path("EC.pem"),
      privateKey: path("EC.key"),
      caCertificates: path("partners.pem"),
      caCrl: path("partners.crl"),
    },
  };
  const server = (name: string, bind: string, tls: object) => ({
    port: { number: GATEWAY_PORT, name, protocol: "HTTPS" },
    bind,
    hosts: [`${name}.test`],
    name: `server-${name}`,
    tls,
  });
  const pair = async (name: string) => ({ "tls.crt": await read(`${name}.pem`), "tls.key": await read(`${name}.key`) });
  const edge = await startJoinedGateway(t, IP, {
    "gateway.yaml": istio("Gateway", "public", {
      selector: GATEWAY_LABELS,
      servers: [
        ...Object.entries(servers).map(([name, tls]) => server(name, IP, tls)),
        server("elsewhere", OTHER_IP, { mode: "SIMPLE", ...own }),
      ],
    }),
    "secrets.yaml": [
      secret("ec", await pair("EC")),
      secret("rsa", await pair("RSA")),
      secret("partners-cacert", { "ca.crt": await read("partners.pem") }),
    ].join(""),
  });
  await until("the servers", async () => (await edge.shown("old.test")) === "EC");
  const showing = async (name: string) => ({ cert: await read(`${name}.pem`), key: await read(`${name}.key`) });
  return { ...edge, showing };
}

test("servers of a Gateway keep to what they say of their TLS and address", { skip: envoyMissing() }, async (t) => {
  const { envoy, open, shown, showing } = await startEdge(t);

  await t.test("credentialNames: each caller is shown a certificate that it can verify", async () => {
    const version = { maxVersion: "TLSv1.2" } as const;
    assert.equal(await shown("several.test", { ...version, ciphers: "ECDHE-RSA-AES128-GCM-SHA256" }), "RSA");
    assert.equal(await shown("several.test", { ...version, ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }), "EC");
    assert.equal(await shown("old.test", { ...version, ciphers: "ECDHE-RSA-AES128-GCM-SHA256" }), "refused");
  });

  await t.test("name and port.name: what Envoy calls the server's statistics, and its routes", async () => {
    const before = await envoy.stat("http.server-old.downstream_rq_total");
    assert.equal(await askOn(await open("old.test"), "old.test"), "HTTP/1.1 200 OK");
    assert.equal(await envoy.stat("http.server-old.downstream_rq_total"), before + 1);
    assert.equal(await envoy.stat("http.server-several.downstream_rq_total"), 0);
    assert.match(await envoy.admin("/config_dump?resource=dynamic_route_configs"), /"https\.8443\.old\.public\.shop"/);
  });

  await t.test("maxProtocolVersion: no later version is spoken", async () => {
    assert.equal((await open("old.test")).getProtocol(), "TLSv1.2");
    assert.equal(await shown("old.test", { minVersion: "TLSv1.3" }), "refused");
    assert.equal((await open("several.test")).getProtocol(), "TLSv1.3");
  });

  await t.test("cipherSuites: these and no others", async () => {
    const spoken = async (ciphers: string) => (await open("chosen.test", { ciphers })).getCipher().name;
    for (const suite of ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"]) {
      assert.equal(await spoken(suite), suite);
    }
    await assert.rejects(spoken("ECDHE-ECDSA-AES128-GCM-SHA256"));
    const plain = { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" };
    assert.equal((await open("old.test", plain)).getCipher().name, plain.ciphers, "a server that names none takes it");
  });

  /** What becomes of a request of a caller that shows this certificate, or none. */
  const statusFor = async (host: string, name: string | null) => {
    const options: ConnectionOptions = name === null ? {} : await showing(name);
    return open(host, options)
      .then((socket) => askOn(socket, host))
      .catch(() => "refused");
  };
  const callers: Readonly<
    Record<string, readonly [field: string, taken: readonly string[], refused: readonly string[]]>
  > = {
    "partners.test": ["caCertCredentialName", ["good", "second"], ["stranger"]],
    "key.test": ["verifyCertificateSpki", ["good"], ["second", "stranger"]],
    "hash.test": ["verifyCertificateHash", ["good"], ["second", "stranger"]],
    "either.test": ["verifyCertificateSpki beside verifyCertificateHash", ["good"], ["second"]],
    "revocations.test": ["caCrl", ["good"], ["revoked", "stranger"]],
  };
  for (const [host, [field, taken, refused]] of Object.entries(callers)) {
    await t.test(`${field}: its callers are taken, and no others`, async () => {
      await until("its Secrets", async () => (await shown(host)) === "EC");
      for (const name of taken) assert.equal(await statusFor(host, name), "HTTP/1.1 200 OK", name);
      for (const name of [...refused, null]) assert.equal(await statusFor(host, name), "refused", String(name));
    });
  }

  await t.test("bind: a server is at its own address, and at no other", async () => {
    assert.equal(await shown("elsewhere.test", { host: OTHER_IP }), "EC");
    assert.equal(await shown("elsewhere.test"), "refused");
    assert.equal(await shown("old.test", { host: OTHER_IP }), "refused");
    const error = await new Promise<NodeJS.ErrnoException>((resolve, reject) =>
      connectTcp(GATEWAY_PORT, "127.0.0.98", () => reject(new Error("connected"))).once("error", resolve),
    );
    assert.equal(error.code, "ECONNREFUSED");
  });
});

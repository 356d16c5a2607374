import assert from "node:assert/strict";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { TestControlPlane } from "../support/control-plane.ts";
import { envoyMissing } from "../support/envoy.ts";
import { askOn, GATEWAY_LABELS, GATEWAY_PORT, startJoinedGateway } from "../support/joined-gateway.ts";
import { istio, secret } from "../support/manifests.ts";
import { openssl } from "../support/openssl.ts";
import { programmed } from "../support/programmed.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";

/** The Secrets of a gateway's servers, given to a real Envoy that joined a control plane: changed, missing and broken. */

const skip = envoyMissing();

interface Certificate {
  readonly chain: string;
  readonly key: string;
}

/** A certificate of openssl's that vouches for itself. */
async function selfSigned(name: string): Promise<Certificate> {
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const pem = await openssl("req", "-x509", ...newKey, "-subj", `/CN=${name}`, "-keyout", "-", "-out", "-");
  const parts = pem.split("-----BEGIN CERTIFICATE-----");
  return { key: parts[0] ?? "", chain: `-----BEGIN CERTIFICATE-----${parts[1]}` };
}

const secretOf = (name: string, { chain, key }: Certificate) => secret(name, { "tls.crt": chain, "tls.key": key });

const GARBAGE = { chain: "no certificate", key: "no key" };

/** A gateway at `ip`, one server for each name: `NAME.test` with Secret `NAME`. */
const gatewayFor = (ip: string, name: string, servers: readonly string[], tls: object = {}) =>
  istio("Gateway", name, {
    selector: GATEWAY_LABELS,
    servers: servers.map((of) => ({
      port: { number: GATEWAY_PORT, name: of, protocol: "HTTPS" },
      bind: ip,
      hosts: [`${of}.test`],
      tls: { mode: "SIMPLE", credentialName: of, ...tls },
    })),
  });

test("a changed Secret is shown to new callers, and connections that stand go on", { skip }, async (t) => {
  const { open, shown, change } = await startJoinedGateway(t, "127.0.0.91", {
    "gateway.yaml": gatewayFor("127.0.0.91", "public", ["shop"]),
    "secret.yaml": secretOf("shop", await selfSigned("first")),
  });
  await until("the first certificate", async () => (await shown("shop.test")) === "first");
  const standing = await open("shop.test");
  assert.equal(await askOn(standing, "shop.test"), "HTTP/1.1 200 OK");
  await change("secret.yaml", secretOf("shop", await selfSigned("second")));
  await until("the second certificate", async () => {
    assert.equal(await askOn(standing, "shop.test"), "HTTP/1.1 200 OK");
    const name = await shown("shop.test");
    assert.match(name, /^(first|second)$/, "nobody is refused meanwhile");
    return name === "second";
  });
  assert.equal(await askOn(standing, "shop.test"), "HTTP/1.1 200 OK");
});

test("a missing Secret refuses the callers of its server alone, until it is there", { skip }, async (t) => {
  const { open, shown, change } = await startJoinedGateway(t, "127.0.0.92", {
    "gateway.yaml": gatewayFor("127.0.0.92", "public", ["shop", "lost"]),
    "secret.yaml": secretOf("shop", await selfSigned("shop")),
  });
  await until("the other server", async () => (await shown("shop.test")) === "shop");
  assert.equal(await askOn(await open("shop.test"), "shop.test"), "HTTP/1.1 200 OK");
  assert.equal(await shown("lost.test"), "refused");
  await change("lost.yaml", secretOf("lost", await selfSigned("found")));
  await until("the server whose Secret came", async () => (await shown("lost.test")) === "found");
});

/** The reason for which a Gateway is refused, once it is. */
const refusalOf = (mesh: TestControlPlane, name: string) =>
  until(`Gateway ${name} to be refused`, async () => {
    const condition = await programmed(mesh, "Gateway", name);
    return condition?.status === "False" ? condition.message : undefined;
  });

test("a Secret that Envoy refuses is told on the Gateway that names it, and callers are shown what it was", {
  skip,
}, async (t) => {
  const { mesh, shown, change } = await startJoinedGateway(t, "127.0.0.93", {
    "gateway.yaml": gatewayFor("127.0.0.93", "public", ["shop"]),
    "other.yaml": gatewayFor("127.0.0.93", "other", ["fine"]),
    "shop.yaml": secretOf("shop", await selfSigned("shop")),
    "fine.yaml": secretOf("fine", await selfSigned("fine")),
  });
  const state = async (name: string) => (await programmed(mesh, "Gateway", name))?.status;
  await until("both to be taken", async () => (await state("public")) === "True" && (await state("other")) === "True");
  await change("shop.yaml", secretOf("shop", GARBAGE));
  assert.match(await refusalOf(mesh, "public"), /edge-0\.shop: .*certificate chain/);
  assert.equal(await state("other"), "True", "it does not name the Secret");
  assert.deepEqual(await Promise.all(["shop.test", "fine.test"].map((name) => shown(name))), ["shop", "fine"]);

  await change("shop.yaml", secretOf("shop", await selfSigned("mended")));
  await until("the mended Secret", async () => (await shown("shop.test")) === "mended");
  await until("the Gateway to be taken", async () => (await state("public")) === "True");
});

test("a gateway that starts with a broken Secret refuses that server's callers alone", { skip }, async (t) => {
  const { mesh, shown, change } = await startJoinedGateway(t, "127.0.0.94", {
    "gateway.yaml": gatewayFor("127.0.0.94", "public", ["shop", "broken"]),
    "other.yaml": gatewayFor("127.0.0.94", "other", ["fine"]),
    "shop.yaml": secretOf("shop", await selfSigned("shop")),
    "fine.yaml": secretOf("fine", await selfSigned("fine")),
    "broken.yaml": secretOf("broken", GARBAGE),
  });
  const all = async () =>
    (await Promise.all(["shop.test", "fine.test", "broken.test"].map((name) => shown(name)))).join();
  assert.match(await refusalOf(mesh, "public"), /edge-0\.shop: .*certificate chain/);
  await until("the other servers", async () => (await all()) === "shop,fine,refused");
  assert.equal((await programmed(mesh, "Gateway", "other"))?.status, "True", "it does not name the broken Secret");
  await change("broken.yaml", secretOf("broken", await selfSigned("mended")));
  await until("all servers", async () => (await all()) === "shop,fine,mended");
});

test("files that a gateway does not have are one server's fault; those that it has are shown, and followed", {
  skip,
}, async (t) => {
  const folder = await temporaryPath(t, "certificates");
  await mkdir(folder);
  const write = async ({ chain, key }: Certificate) => {
    // As whoever renews them does: moved in place, both before Envoy looks.
    for (const [name, text] of Object.entries({ "tls.key": key, "tls.crt": chain })) {
      await writeFile(join(folder, `${name}.new`), text);
      await rename(join(folder, `${name}.new`), join(folder, name));
    }
  };
  const filesIn = (dir: string) => ({
    credentialName: "",
    serverCertificate: join(dir, "tls.crt"),
    privateKey: join(dir, "tls.key"),
  });
  await write(await selfSigned("first"));
  const trust = { mode: "MUTUAL", caCertificates: join(folder, "tls.crt") };
  const { mesh, open, shown } = await startJoinedGateway(t, "127.0.0.95", {
    "gateway.yaml":
      gatewayFor("127.0.0.95", "public", ["shop"], filesIn(folder)) +
      gatewayFor("127.0.0.95", "mutual", ["mutual"], { ...filesIn(folder), ...trust }),
    "other.yaml": gatewayFor("127.0.0.95", "other", ["lost"], filesIn("/nowhere")),
  });
  await until("the files' certificate", async () => (await shown("shop.test")) === "first");
  assert.equal(await askOn(await open("shop.test"), "shop.test"), "HTTP/1.1 200 OK");
  assert.equal(await shown("lost.test"), "refused");
  assert.match(await refusalOf(mesh, "other"), /edge-0\.shop: .*\/nowhere/);
  assert.equal((await programmed(mesh, "Gateway", "public"))?.status, "True", "its files are there");
  const strange = await open("mutual.test");
  await assert.rejects(askOn(strange, "mutual.test"), "a caller without a certificate is refused");
  await write(await selfSigned("second"));
  await until("the renewed files", async () => (await shown("shop.test")) === "second");
});

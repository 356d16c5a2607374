import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { TLSSocket } from "node:tls";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { openssl } from "../support/openssl.ts";
import { startSidecars } from "../support/sidecars.ts";
import { temporaryPath } from "../support/state.ts";
import { listenOn } from "../support/upstream.ts";

/** TLS that a DestinationRule asks for, with certificates of openssl's and a server of Node's. */

interface Handshake {
  readonly caller: string | undefined;
  readonly serverName: unknown;
}

/** A root, and certificates below it: of the server by the name `good.test`, and of a client. PEM files. */
async function makeCertificates(folder: string) {
  const path = (name: string) => join(folder, name);
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const root = async (name: string) => {
    const out = ["-keyout", path(`${name}.key`), "-out", path(`${name}.pem`)];
    await openssl("req", "-x509", ...newKey, ...out, "-subj", `/CN=${name}`, "-addext", "keyUsage=keyCertSign,cRLSign");
  };
  const leaf = async (name: string, san: string) => {
    const out = ["-keyout", path(`${name}.key`), "-out", path(`${name}.pem`)];
    const below = ["-CA", path("root.pem"), "-CAkey", path("root.key")];
    await openssl(
      "req",
      "-x509",
      ...newKey,
      ...out,
      ...below,
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=${san}`,
    );
  };
  await root("root");
  await root("other");
  await leaf("server", "DNS:good.test,IP:127.0.0.71");
  await leaf("client", "URI:spiffe://elsewhere/client");
  await revoke(path);
  return path;
}

/** A list of the root's on which the server's certificate is. */
async function revoke(path: (name: string) => string): Promise<void> {
  const config = path("ca.conf");
  await writeFile(path("index.txt"), "");
  await writeFile(
    config,
    `[ca]\ndefault_ca=own\n[own]\ndatabase=${path("index.txt")}\ndefault_md=sha256\ndefault_crl_days=1\n`,
  );
  const root = ["-config", config, "-cert", path("root.pem"), "-keyfile", path("root.key")];
  await openssl("ca", ...root, "-revoke", path("server.pem"));
  await openssl("ca", ...root, "-gencrl", "-out", path("crl.pem"));
}

async function startMesh(t: TestContext) {
  const folder = await temporaryPath(t, "certificates");
  await mkdir(folder);
  const path = await makeCertificates(folder);
  const read = (name: string) => readFile(path(name), "utf8");
  const options = { cert: await read("server.pem"), key: await read("server.key"), ca: await read("root.pem") };
  const answer = (socket: unknown): Handshake => {
    assert.ok(socket instanceof TLSSocket);
    return {
      caller: socket.getPeerX509Certificate()?.subjectAltName,
      serverName: Reflect.get(socket, "servername"),
    };
  };
  const simple = createServer(options, ({ socket }, response) => response.end(JSON.stringify(answer(socket))));
  const mutual = createServer({ ...options, requestCert: true }, ({ socket }, response) =>
    response.end(JSON.stringify(answer(socket))),
  );
  const ports = { simple: await listenOn(t, simple, "127.0.0.71"), mutual: await listenOn(t, mutual, "127.0.0.71") };
  const own = { caCertificates: path("root.pem") };
  const client = { clientCertificate: path("client.pem"), privateKey: path("client.key") };
  const rules: Record<string, readonly [keyof typeof ports, object]> = {
    "good.test": ["simple", { mode: "SIMPLE", ...own }],
    "named.test": ["simple", { mode: "SIMPLE", ...own, sni: "good.test", subjectAltNames: ["good.test"] }],
    "address.test": ["simple", { mode: "SIMPLE", ...own, sni: "x.test", subjectAltNames: ["127.0.0.71"] }],
    "mutual.test": ["mutual", { mode: "MUTUAL", ...own, ...client, sni: "good.test" }],
    "careless.test": ["simple", { mode: "SIMPLE", insecureSkipVerify: true }],
    "bad-name.test": ["simple", { mode: "SIMPLE", ...own }],
    "bad-san.test": ["simple", { mode: "SIMPLE", ...own, subjectAltNames: ["other.test"] }],
    "bad-root.test": ["simple", { mode: "SIMPLE", caCertificates: path("other.pem"), sni: "good.test" }],
    "revoked.test": ["simple", { mode: "SIMPLE", ...own, sni: "good.test", caCrl: path("crl.pem") }],
    "system-root.test": ["simple", { mode: "SIMPLE", sni: "good.test" }],
    "plain.test": ["simple", { mode: "DISABLE" }],
  };
  const objects = Object.entries(rules).flatMap(([host, [kind, tls]], index) => {
    const name = host.replace(".", "-");
    const of = { name, ip: "127.0.0.71" };
    return [
      pod(of),
      service({ name, ports: { http: 80 }, clusterIP: `10.96.2.${index + 1}` }),
      endpoint(name, of, { http: ports[kind] }),
      istio("DestinationRule", name, { host: name, trafficPolicy: { tls } }),
      istio("VirtualService", name, {
        hosts: [host],
        http: [{ route: [{ destination: { host: name } }], retries: { attempts: 0 } }],
      }),
    ];
  });
  /** It says itself whom to expect. */
  const entry = (name: string, subjectAltNames: readonly string[]) =>
    istio("ServiceEntry", name, {
      hosts: [`${name}.test`],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.71", ports: { http: ports.simple } }],
      subjectAltNames,
    }) +
    istio("DestinationRule", name, {
      host: `${name}.test`,
      trafficPolicy: { tls: { mode: "SIMPLE", ...own, sni: "x.test" } },
    });
  objects.push(entry("entry", ["other.test", "good.test"]), entry("bad-entry", ["other.test"]));
  const mesh = meshOf([pod({ name: "caller", ip: "127.0.0.70" }), ...objects].join(""));
  const { envoy, port } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });
  return {
    ask: (host: string) => get(port("caller", "0.0.0.0_80"), { headers: { host } }),
    stat: (host: string, name: string) =>
      envoy.stat(`cluster.outbound|80||${host.replace(".", "-")}.shop.svc.cluster.local.ssl.${name}`),
    entryStat: (host: string, name: string) => envoy.stat(`cluster.outbound|80||${host}.ssl.${name}`),
  };
}

test("TLS of a DestinationRule's own", { skip: envoyMissing() }, async (t) => {
  const { ask, stat, entryStat } = await startMesh(t);

  const good: readonly [host: string, handshake: Handshake][] = [
    ["good.test", { caller: undefined, serverName: "good.test" }],
    ["named.test", { caller: undefined, serverName: "good.test" }],
    ["address.test", { caller: undefined, serverName: "x.test" }],
    ["mutual.test", { caller: "URI:spiffe://elsewhere/client", serverName: "good.test" }],
    ["careless.test", { caller: undefined, serverName: "careless.test" }],
  ];
  for (const [host, handshake] of good) {
    await t.test(`${host} answers`, async () => {
      const { status, body } = await ask(host);
      assert.equal(status, 200, body);
      assert.deepEqual({ caller: undefined, ...JSON.parse(body) }, handshake);
    });
  }

  const refused: readonly [host: string, stat: string][] = [
    ["bad-name.test", "fail_verify_san"],
    ["bad-san.test", "fail_verify_san"],
    ["bad-root.test", "fail_verify_error"],
    ["revoked.test", "fail_verify_error"],
    ["system-root.test", "fail_verify_error"],
  ];
  for (const [host, counter] of refused) {
    await t.test(`${host} is not trusted, and gets no request`, async () => {
      assert.equal((await ask(host)).status, 503);
      assert.ok((await stat(host, counter)) > 0, counter);
    });
  }

  await t.test("subjectAltNames of a ServiceEntry: any of them is good, and no other", async () => {
    assert.equal((await ask("entry.test")).status, 200);
    assert.equal((await ask("bad-entry.test")).status, 503);
    assert.ok((await entryStat("bad-entry.test", "fail_verify_san")) > 0);
  });

  await t.test("plain.test gets plaintext, as its rule disables TLS", async () => {
    assert.equal((await ask("plain.test")).status, 503);
  });
});

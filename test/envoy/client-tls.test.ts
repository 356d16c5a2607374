import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { createCertificates } from "../support/certificates.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing } from "../support/envoy.ts";
import { forwardTo, startJoinedEnvoy } from "../support/joined-envoy.ts";
import { endpoint, istio, pod, secret, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { listenOn } from "../support/upstream.ts";

/** TLS that a DestinationRule asks for, with certificates of openssl's and a server of Node's. */

interface Handshake {
  readonly caller: string | undefined;
  readonly serverName: unknown;
}

async function startMesh(t: TestContext) {
  const { path, read, root, leaf, revoke } = await createCertificates(t);
  for (const name of ["root", "other"]) await root(name);
  await leaf("server", { by: "root", san: "DNS:good.test,IP:127.0.0.71" });
  await leaf("client", { by: "root", san: "URI:spiffe://elsewhere/client" });
  await revoke("root", "server");
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
    "revoked.test": ["simple", { mode: "SIMPLE", ...own, sni: "good.test", caCrl: path("root.crl") }],
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

test("credentialName: a rule's callers show the Secret's certificate, to whom the Secret vouches for", {
  skip: envoyMissing(),
}, async (t) => {
  const { read, root, leaf } = await createCertificates(t);
  for (const name of ["root", "other"]) await root(name);
  await leaf("server", { by: "root", san: "DNS:bank.test" });
  await leaf("first", { by: "root", san: "DNS:first.test" });
  await leaf("second", { by: "root", san: "DNS:second.test" });
  const server = createTlsServer(
    { cert: await read("server.pem"), key: await read("server.key"), ca: await read("root.pem"), requestCert: true },
    (socket) => socket.on("error", () => socket.destroy()).end(String(socket.getPeerCertificate().subject.CN)),
  );
  const port = await listenOn(t, server, "127.0.0.72");
  const pair = async (name: string, trusted: string) => ({
    "tls.crt": await read(`${name}.pem`),
    "tls.key": await read(`${name}.key`),
    "ca.crt": await read(`${trusted}.pem`),
  });
  const bank = secret("bank", await pair("first", "root"));
  const mesh = await testControlPlane(t, {
    "mesh.yaml": [
      pod({ name: "web-0", ip: "127.0.0.1", labels: { app: "web" }, serviceAccount: "web" }),
      istio("ServiceEntry", "bank", {
        hosts: ["bank.test"],
        ports: [{ number: 90, name: "tcp", protocol: "TCP" }],
        resolution: "STATIC",
        endpoints: [{ address: "127.0.0.72", ports: { tcp: port } }],
      }),
      istio("DestinationRule", "bank", {
        host: "bank.test",
        workloadSelector: { matchLabels: { app: "web" } },
        trafficPolicy: {
          tls: { mode: "MUTUAL", credentialName: "bank", sni: "bank.test", subjectAltNames: ["bank.test"] },
        },
      }),
    ].join(""),
    "secret.yaml": bank,
  });
  const rootPem = await readFile(mesh.rootPath, "utf8");
  const listener = forwardTo("outbound|90||bank.test");
  const envoy = await startJoinedEnvoy(t, mesh, { pod: "web-0", labels: { app: "web" }, listener, rootPem });
  const at = await envoy.listenerPort("forward");
  /** Who the server says that it saw; nothing where the connection failed. */
  const answer = () => text(connect(at, "127.0.0.1")).catch(() => "");
  const change = (yaml: string) => writeFile(join(mesh.dir, "secret.yaml"), yaml);

  await until("the Secret's certificate", async () => (await answer()) === "first");
  await change(secret("bank", await pair("second", "root")));
  await until("the changed one", async () => (await answer()) === "second");
  await change(secret("bank", await pair("second", "other")));
  const distrusted = () => envoy.stat("cluster.outbound|90||bank.test.ssl.fail_verify_error");
  await until("the server not to be trusted", async () => (await answer()) === "" && (await distrusted()) > 0);
  await change(bank);
  await until("the first one again", async () => (await answer()) === "first");
});

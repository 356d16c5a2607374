import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import { connect, createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { TLSSocket } from "node:tls";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, get, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { document, endpoint, istio, type PodManifest, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** How a sidecar calls: in mutual TLS whoever can take it, in plaintext the rest, and only whom it means to. */

interface Handshake {
  readonly caller: string | undefined;
  readonly serverName: unknown;
  readonly alpn: string | false | null;
}

/** A peer's sidecar, as far as TLS goes: it answers with what the handshake said. */
async function startPeer(t: TestContext, { chainPem, keyPem, rootPem }: CallerIdentity, ip: string): Promise<number> {
  const server: Server = createServer(
    { cert: chainPem, key: keyPem, ca: rootPem, requestCert: true, ALPNProtocols: ["http/1.1", "istio"] },
    ({ socket }, response) => {
      assert.ok(socket instanceof TLSSocket);
      const handshake: Handshake = {
        caller: socket.getPeerX509Certificate()?.subjectAltName,
        serverName: Reflect.get(socket, "servername"),
        alpn: socket.alpnProtocol,
      };
      response.end(JSON.stringify(handshake));
    },
  );
  return listenOn(t, server, ip);
}

async function startMesh(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const otherRoot = await temporaryAuthority(t, systemClock);
  const identity = (serviceAccount: string) => identityOf(authority, { namespace: "shop", serviceAccount });
  const good = await startPeer(t, await identity("web"), "127.0.0.41");
  const impostor = await startPeer(t, await identity("thief"), "127.0.0.42");
  const foreign = await startPeer(
    t,
    await identityOf(otherRoot, { namespace: "shop", serviceAccount: "web" }),
    "127.0.0.43",
  );
  const plain = await startUpstream(t, "plain", "127.0.0.44");
  const echo = await startGreeter(t);

  const backend = (name: string, ip: string, port: number, options: Partial<PodManifest> = {}) => {
    const one = { name, ip, serviceAccount: "web", labels: { app: name }, ...options };
    return [
      pod(one),
      service({ name, ports: { http: 80 }, clusterIP: ip.replace("127.0", "10.96") }),
      endpoint(name, one, { http: port }),
    ].join("");
  };
  /** A ServiceEntry with an endpoint that takes mutual TLS, as far as its labels go. */
  const entry = (name: string, address: string, port: number, endpoint: object, spec: object = {}) =>
    istio("ServiceEntry", name, {
      hosts: [`${name}.test`],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      endpoints: [{ address, ports: { http: port }, labels: { "security.istio.io/tlsMode": "istio" }, ...endpoint }],
      ...spec,
    });
  /** One whose endpoint is a machine of this account. */
  const machine = (name: string, serviceAccount: string) =>
    istio("ServiceEntry", name, {
      hosts: [`${name}.test`],
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: good }],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      workloadSelector: { labels: { machine: name } },
    }) +
    istio("WorkloadEntry", name, {
      address: "127.0.0.41",
      labels: { machine: name, "security.istio.io/tlsMode": "istio" },
      serviceAccount,
    });
  const names = (account: string) => ({ subjectAltNames: [`spiffe://cluster.local/ns/shop/sa/${account}`] });
  const mesh = meshOf(
    [
      pod({ name: "caller", ip: "127.0.0.40" }),
      entry("account", "127.0.0.41", good, { serviceAccount: "web" }),
      entry("bad-account", "127.0.0.41", good, { serviceAccount: "other" }),
      machine("machine", "web"),
      machine("bad-machine", "other"),
      entry("named", "127.0.0.42", impostor, { serviceAccount: "web" }, names("thief")),
      entry("bad-named", "127.0.0.42", impostor, {}, names("web")),
      entry("external", "127.0.0.44", plain.port, {}, { location: "MESH_EXTERNAL" }),
      backend("good", "127.0.0.41", good, { tls: true }),
      document({
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "alias", namespace: "shop" },
        spec: { type: "ExternalName", externalName: "good.shop.svc.cluster.local" },
      }),
      backend("impostor", "127.0.0.42", impostor, { tls: true }),
      backend("foreign", "127.0.0.43", foreign, { tls: true }),
      backend("plain", "127.0.0.44", plain.port),
      backend("disabled", "127.0.0.44", plain.port, { tls: true }),
      istio("PeerAuthentication", "disabled", {
        selector: { matchLabels: { app: "disabled" } },
        mtls: { mode: "DISABLE" },
      }),
      backend("forced", "127.0.0.41", good),
      istio("DestinationRule", "forced", { host: "forced", trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } } }),
      backend("unsecured", "127.0.0.44", plain.port, { tls: true }),
      istio("DestinationRule", "unsecured", { host: "unsecured", trafficPolicy: { tls: { mode: "DISABLE" } } }),
      service({ name: "greeter", ports: { tcp: 90 }, clusterIP: "10.96.0.90" }),
      pod({ name: "greeter-0", ip: "127.0.0.45" }),
      endpoint("greeter", { name: "greeter-0", ip: "127.0.0.45" }, { tcp: echo }),
    ].join(""),
  );
  const running = await startSidecars(t, await identity("caller"), { caller: { mesh, pod: "caller.shop" } });
  return { envoy: running.envoy, port: (listener: string) => running.port("caller", listener) };
}

/** It speaks first, as mail servers and databases do. */
async function startGreeter(t: TestContext): Promise<number> {
  return listenOn(
    t,
    createTcpServer((socket) => socket.on("error", () => socket.destroy()).end("welcome")),
    "127.0.0.45",
  );
}

test("a sidecar calls by mutual TLS whoever takes it", { skip: envoyMissing() }, async (t) => {
  const { envoy, port } = await startMesh(t);
  const ask = (host: string) => get(port("0.0.0.0_80"), { headers: { host } });

  const trusted: [host: string, service: string][] = [
    ["good", "good"],
    ["forced", "forced"],
    ["alias", "good"],
  ];
  for (const [host, name] of trusted) {
    await t.test(`${host}: with the caller's certificate and the service's name`, async () => {
      const { status, body } = await ask(host);
      assert.equal(status, 200, body);
      const handshake: Handshake = JSON.parse(body);
      assert.deepEqual(handshake, {
        caller: "URI:spiffe://cluster.local/ns/shop/sa/caller",
        serverName: `outbound_.80_._.${name}.shop.svc.cluster.local`,
        alpn: "http/1.1",
      });
    });
  }

  const entries: [host: string, field: string][] = [
    ["account", "serviceAccount of an endpoint"],
    ["machine", "serviceAccount of a WorkloadEntry"],
    ["named", "subjectAltNames of a ServiceEntry"],
  ];
  for (const [name, field] of entries) {
    await t.test(`${field}: whom it names is called, and nobody else`, async () => {
      const { status, body } = await ask(`${name}.test`);
      assert.equal(status, 200, body);
      assert.equal(JSON.parse(body).caller, "URI:spiffe://cluster.local/ns/shop/sa/caller");
      assert.equal((await ask(`bad-${name}.test`)).status, 503);
      assert.ok((await envoy.stat(`cluster.outbound|80||bad-${name}.test.ssl.fail_verify_san`)) > 0);
    });
  }

  await t.test("location: MESH_EXTERNAL is called in plaintext, whatever labels its endpoints have", async () => {
    assert.equal(JSON.parse((await ask("external.test")).body).upstream, "plain");
  });

  for (const host of ["plain", "disabled", "unsecured"]) {
    await t.test(`${host}: in plaintext`, async () => {
      assert.equal(JSON.parse((await ask(host)).body).upstream, "plain");
    });
  }

  const refusals: [host: string, stat: string][] = [
    ["impostor", "fail_verify_san"],
    ["foreign", "fail_verify_error"],
  ];
  for (const [host, stat] of refusals) {
    await t.test(`${host}: a peer that is not who it should be gets no request`, async () => {
      assert.equal((await ask(host)).status, 503);
      assert.ok((await envoy.stat(`cluster.outbound|80||${host}.shop.svc.cluster.local.ssl.${stat}`)) > 0);
    });
  }

  await t.test("a TCP service is reached by its address, also where the server speaks first", async () => {
    const socket = connect(port("10.96.0.90_90"), "127.0.0.1");
    t.after(() => socket.destroy());
    const [greeting] = await once(socket, "data");
    assert.equal(String(greeting), "welcome");
  });
});

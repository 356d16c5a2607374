import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { connect, createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { get } from "../support/caller.ts";
import { createCertificates } from "../support/certificates.ts";
import { envoyMissing } from "../support/envoy.ts";
import { gateway, gatewayIdentities, startGateway } from "../support/gateway.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn } from "../support/upstream.ts";

/**
 * Callers that leave the mesh by a gateway, as Istio's tasks for egress have it: one real Envoy is a caller's sidecar,
 * another the gateway, and the servers are outside.
 */

const HOSTS = { originated: "originated.example.com", passed: "passed.example.com", raw: "raw.example.com" };
const EGRESS = "edge.ingress.svc.cluster.local";

async function startOutside(t: TestContext) {
  const { path, read, root, leaf } = await createCertificates(t);
  await root("root");
  await leaf("outside", { by: "root", san: `DNS:${HOSTS.originated}` });
  const own = { cert: await read("outside.pem"), key: await read("outside.key") };
  const web = createServer(own, ({ url, socket, headers }, response) =>
    response.end(JSON.stringify({ url, name: Reflect.get(socket, "servername"), host: headers.host })),
  );
  const passed = createTlsServer(own, (socket) =>
    socket.on("error", () => socket.destroy()).end(`passed to ${Reflect.get(socket, "servername")}`),
  );
  const raw = createTcpServer((socket) => socket.on("error", () => socket.destroy()).end("raw outside"));
  return {
    roots: path("root.pem"),
    ports: {
      originated: await listenOn(t, web, "127.0.0.71"),
      passed: await listenOn(t, passed, "127.0.0.72"),
      raw: await listenOn(t, raw, "127.0.0.73"),
    },
  };
}

function manifests({ roots, ports }: Awaited<ReturnType<typeof startOutside>>): string {
  const entry = (name: string, address: string, list: readonly object[], endpointPorts: object) =>
    istio("ServiceEntry", name, {
      hosts: [`${name}.example.com`],
      addresses: [address],
      ports: list,
      resolution: "STATIC",
      endpoints: [{ address: `127.0.0.7${address.at(-1)}`, ports: endpointPorts }],
    });
  const server = (number: number, protocol: string, host: string, mode: string) => ({
    port: { number, name: `p-${number}-${host.split(".")[0]}`, protocol },
    hosts: [host],
    tls: { mode },
  });
  const both = ["mesh", "ingress/egress"];
  const leave = (port: number, subset?: string) => ({
    destination: { host: EGRESS, port: { number: port }, ...(subset === undefined ? {} : { subset }) },
  });
  const outside = (host: string, number: number) => [{ destination: { host, port: { number } } }];
  return [
    pod({ name: "caller", ip: "127.0.0.70", serviceAccount: "caller" }),
    entry(
      "originated",
      "192.0.2.1",
      [
        { number: 80, name: "http", protocol: "HTTP" },
        { number: 443, name: "http-out", protocol: "HTTP" },
      ],
      { http: 9, "http-out": ports.originated },
    ),
    entry("passed", "192.0.2.2", [{ number: 443, name: "tls", protocol: "TLS" }], { tls: ports.passed }),
    entry("raw", "192.0.2.3", [{ number: 5000, name: "tcp", protocol: "TCP" }], { tcp: ports.raw }),
    gateway("egress", [
      server(443, "HTTPS", HOSTS.originated, "ISTIO_MUTUAL"),
      server(443, "TLS", HOSTS.passed, "PASSTHROUGH"),
      server(443, "TLS", HOSTS.raw, "ISTIO_MUTUAL"),
    ]),
    istio("DestinationRule", "egress", {
      host: EGRESS,
      subsets: (["originated", "raw"] as const).map((name) => ({
        name,
        trafficPolicy: {
          portLevelSettings: [{ port: { number: 443 }, tls: { mode: "ISTIO_MUTUAL", sni: HOSTS[name] } }],
        },
      })),
    }),
    istio("DestinationRule", "originated", {
      host: HOSTS.originated,
      trafficPolicy: {
        portLevelSettings: [
          { port: { number: 443 }, tls: { mode: "SIMPLE", caCertificates: roots, sni: HOSTS.originated } },
        ],
      },
    }),
    istio("VirtualService", "originated", {
      hosts: [HOSTS.originated],
      gateways: both,
      http: [
        { match: [{ gateways: ["mesh"], port: 80 }], route: [leave(443, "originated")] },
        { match: [{ gateways: ["ingress/egress"], port: 443 }], route: outside(HOSTS.originated, 443) },
      ],
    }),
    istio("VirtualService", "passed", {
      hosts: [HOSTS.passed],
      gateways: both,
      tls: [
        { match: [{ gateways: ["mesh"], port: 443, sniHosts: [HOSTS.passed] }], route: [leave(443)] },
        {
          match: [{ gateways: ["ingress/egress"], port: 443, sniHosts: [HOSTS.passed] }],
          route: outside(HOSTS.passed, 443),
        },
      ],
    }),
    istio("VirtualService", "raw", {
      hosts: [HOSTS.raw],
      gateways: both,
      tcp: [
        { match: [{ gateways: ["mesh"], port: 5000 }], route: [leave(443, "raw")] },
        { match: [{ gateways: ["ingress/egress"], port: 443 }], route: outside(HOSTS.raw, 5000) },
      ],
    }),
    istio(
      "AuthorizationPolicy",
      "callers",
      {
        selector: { matchLabels: { istio: "ingress" } },
        action: "DENY",
        rules: [
          {
            from: [{ source: { notPrincipals: ["cluster.local/ns/shop/sa/caller"] } }],
            to: [{ operation: { paths: ["/known"] } }],
            // Without it, connections that carry no requests would be denied as well: they have no path to differ by.
            when: [{ key: "connection.sni", values: [HOSTS.originated] }],
          },
        ],
      },
      "ingress",
    ),
  ].join("");
}

async function startMesh(t: TestContext) {
  const identities = await gatewayIdentities(t);
  const outside = await startOutside(t);
  const edge = await startGateway(t, identities, manifests(outside));
  const of = { name: "edge-0", namespace: "ingress", ip: "127.0.0.1" };
  const inMesh = [
    manifests(outside),
    pod({ ...of, labels: { istio: "ingress" }, serviceAccount: "edge", tls: false }),
    service({ name: "edge", namespace: "ingress", ports: { tls: 443 }, clusterIP: "10.96.0.9" }),
    endpoint("edge", of, { tls: edge.port("edge", "0.0.0.0_443") }),
  ].join("");
  const callers = async (account: string) => {
    const mesh = meshOf(inMesh);
    return startSidecars(t, await identities.of(account), { caller: { mesh, pod: "caller.shop" } });
  };
  /** How many connections the gateway made to a server. */
  const made = (name: string) => edge.envoy.stat(`cluster.outbound|${name}.upstream_cx_total`);
  return { made, caller: await callers("caller"), stranger: await callers("stranger") };
}

test("callers leave the mesh by a gateway", { skip: envoyMissing() }, async (t) => {
  const { made, caller, stranger } = await startMesh(t);
  const ask = (from: typeof caller, path: string) =>
    get(from.port("caller", "0.0.0.0_80"), { path, headers: { host: HOSTS.originated } });

  await t.test("by mutual TLS to the gateway, which opens TLS of its own to the server", async () => {
    const { status, body } = await ask(caller, "/path");
    assert.equal(status, 200, body);
    assert.deepEqual(JSON.parse(body), { url: "/path", name: HOSTS.originated, host: HOSTS.originated });
  });

  await t.test("known by their own accounts to the gateway's policies", async () => {
    assert.equal((await ask(caller, "/known")).status, 200);
    assert.equal((await ask(stranger, "/known")).status, 403);
  });

  const { port } = caller;
  await t.test("with TLS of their own, which nobody opens on the way", async () => {
    const socket = connectTls({
      port: port("caller", "192.0.2.2_443"),
      servername: HOSTS.passed,
      rejectUnauthorized: false,
    });
    const [bytes] = await once(socket, "data");
    socket.destroy();
    assert.equal(String(bytes), `passed to ${HOSTS.passed}`);
    assert.equal(await made(`443||${HOSTS.passed}`), 1);
  });

  await t.test("with any bytes, inside of mutual TLS as far as the gateway", async () => {
    const socket = connect(port("caller", "192.0.2.3_5000"), "127.0.0.1");
    const [bytes] = await once(socket, "data");
    socket.destroy();
    assert.equal(String(bytes), "raw outside");
    assert.equal(await made(`5000||${HOSTS.raw}`), 1);
  });
});

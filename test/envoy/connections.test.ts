import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn } from "../support/upstream.ts";

/** What VirtualServices and DestinationRules ask for of connections that carry no requests, asked of a real Envoy. */

/** It speaks first, and says who it is. */
function startGreeter(t: TestContext, name: string, ip: string): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => socket.destroy()).write(name));
  return listenOn(t, server, ip);
}

/** It says who it is, and by which name it was asked for in TLS. */
function startTlsGreeter(t: TestContext, name: string, ip: string): Promise<number> {
  const { chainPem, keyPem } = placeholderIdentity();
  const server = createTlsServer({ cert: chainPem, key: keyPem }, (socket) =>
    socket.on("error", () => socket.destroy()).end(`${name} for ${Reflect.get(socket, "servername")}`),
  );
  return listenOn(t, server, ip);
}

/** A proxy that connects nowhere: it tells the caller where it was asked to go. */
function startHttpProxy(t: TestContext, ip: string): Promise<number> {
  const server = createHttpServer((request, response) => response.end(`${request.method} ${request.headers.host}`));
  server.on("connect", (request, socket) => socket.write(`HTTP/1.1 200 OK\r\n\r\nCONNECT ${request.url}`));
  return listenOn(t, server, ip);
}

const to = (subset: string, weight?: number) => ({
  destination: { host: "db", subset },
  ...(weight === undefined ? {} : { weight }),
});
const secure = (subset: string) => ({ destination: { host: "secure", subset } });
const subsets = ["v1", "v2"].map((version) => ({ name: version, labels: { version } }));

/** A service in front of the same two greeters, with TCP routes. */
const routed = (name: string, index: number, tcp: object[]) =>
  service({ name, ports: { tcp: 3306 }, clusterIP: `10.96.3.${index + 1}` }) +
  istio("VirtualService", name, { hosts: [name], tcp });

const routes: Record<string, object[]> = {
  split: [{ route: [to("v1", 80), to("v2", 20)] }],
  "by-port": [
    { match: [{ port: 3307 }], route: [to("v1")] },
    { match: [{ port: 3306 }], route: [to("v2")] },
  ],
  "by-address": [
    { match: [{ destinationSubnets: ["10.0.0.0/8"] }], route: [to("v1")] },
    { match: [{ destinationSubnets: ["127.0.0.0/8"] }], route: [to("v2")] },
  ],
  "by-narrower-address": [
    { match: [{ destinationSubnets: ["127.0.0.0/8"] }], route: [to("v1")] },
    { match: [{ destinationSubnets: ["127.0.0.0/16"] }], route: [to("v2")] },
    { route: [to("v1")] },
    { match: [{ destinationSubnets: ["127.0.0.0/24"] }], route: [to("v1")] },
  ],
  "by-labels": [
    { match: [{ sourceLabels: { app: "other" } }], route: [to("v1")] },
    { match: [{ sourceLabels: { app: "caller" }, sourceNamespace: "shop" }], route: [to("v2")] },
  ],
  "by-gateway": [{ match: [{ gateways: ["edge"] }], route: [to("v1")] }, { route: [to("v2")] }],
  first: [{ route: [to("v1")] }, { route: [to("v2")] }],
};

/** Of TLS routes: what is not the caller's, and what is. */
const conditions: readonly [name: string, others: object, own: object][] = [
  ["labels", { sourceLabels: { app: "other" } }, { sourceLabels: { app: "caller" } }],
  ["namespace", { sourceNamespace: "edge" }, { sourceNamespace: "shop" }],
  ["gateway", { gateways: ["edge"] }, { gateways: ["mesh"] }],
  ["subnet", { destinationSubnets: ["10.0.0.0/8"] }, { destinationSubnets: ["127.0.0.0/8"] }],
];

const databases = ["mysql", "mongo", "redis", "postgres"];

async function startMesh(t: TestContext) {
  const ips = ["127.0.0.81", "127.0.0.82"] as const;
  const greeters = await Promise.all(ips.map((ip, index) => startGreeter(t, `v${index + 1}`, ip)));
  const secured = await Promise.all(ips.map((ip, index) => startTlsGreeter(t, `v${index + 1}`, ip)));
  const proxy = await startHttpProxy(t, "127.0.0.83");
  const versions = ips.flatMap((ip, index) => {
    const of = { name: `db-${index + 1}`, ip };
    return [
      pod({ ...of, labels: { app: "db", version: `v${index + 1}` } }),
      endpoint("db", of, { tcp: greeters[index] ?? 0 }),
      endpoint("secure", of, { tls: secured[index] ?? 0 }),
      endpoint("idle", of, { tcp: greeters[index] ?? 0 }),
      endpoint("aged", of, { tcp: greeters[index] ?? 0 }),
      endpoint("hashed", of, { tcp: greeters[index] ?? 0 }),
    ];
  });
  const tunnel = (name: string, index: number, settings: object) =>
    service({ name, ports: { tcp: 3306 }, clusterIP: `10.96.4.${index}` }) +
    endpoint(name, { name: "proxy", ip: "127.0.0.83" }, { tcp: proxy }) +
    istio("DestinationRule", name, { host: name, trafficPolicy: { tunnel: settings } });
  const mesh = meshOf(
    [
      pod({ name: "caller", ip: "127.0.0.80", labels: { app: "caller" } }),
      ...versions,
      service({ name: "db", ports: { tcp: 3306 }, clusterIP: "10.96.0.1" }),
      istio("DestinationRule", "db", { host: "db", subsets }),
      service({ name: "secure", ports: { tls: 443 }, clusterIP: "10.96.0.2" }),
      istio("DestinationRule", "secure", { host: "secure", subsets }),
      istio("VirtualService", "secure", {
        hosts: ["secure", "*.test"],
        // Not for ports of TLS.
        tcp: [{ route: [to("v1")] }],
        tls: [
          { match: [{ sniHosts: ["one.test"] }], route: [secure("v1")] },
          { match: [{ sniHosts: ["*.wild.test", "Two.test"], port: 443 }], route: [secure("v2")] },
          { match: [{ sniHosts: ["one.test"] }], route: [secure("v2")] },
          ...conditions.flatMap(([name, others, own]) => [
            { match: [{ sniHosts: [`${name}.test`], ...others }], route: [secure("v1")] },
            { match: [{ sniHosts: [`${name}.test`], ...own }], route: [secure("v2")] },
          ]),
        ],
      }),
      service({ name: "idle", ports: { tcp: 3306 }, clusterIP: "10.96.0.3" }),
      istio("DestinationRule", "idle", {
        host: "idle",
        trafficPolicy: { connectionPool: { tcp: { idleTimeout: "0.3s" } } },
      }),
      service({ name: "aged", ports: { tcp: 3306 }, clusterIP: "10.96.0.4" }),
      istio("DestinationRule", "aged", {
        host: "aged",
        trafficPolicy: { connectionPool: { tcp: { maxConnectionDuration: "0.3s" } } },
      }),
      ...Object.entries(routes).map(([name, tcp], index) => routed(name, index, tcp)),
      service({ name: "hashed", ports: { tcp: 3306 }, clusterIP: "10.96.0.5" }),
      istio("DestinationRule", "hashed", {
        host: "hashed",
        trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } },
      }),
      // Of databases the server speaks first: nothing may wait for the caller's words.
      ...databases.map((name, index) =>
        [
          service({ name: `db-${name}`, ports: { [name]: 4000 }, clusterIP: `10.96.5.${index + 1}` }),
          endpoint(`db-${name}`, { name: "db-1", ip: ips[0] }, { [name]: greeters[0] ?? 0 }),
        ].join(""),
      ),
      pod({ name: "proxy", ip: "127.0.0.83" }),
      tunnel("connect", 1, { protocol: "CONNECT", targetHost: "far.test", targetPort: 25 }),
      tunnel("post", 2, { protocol: "POST", targetHost: "fd00::1", targetPort: 25 }),
    ].join(""),
  );
  const { port, envoy } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });
  return { envoy, port: (address: string) => port("caller", address) };
}

test("routes and policies of connections hold at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const { port, envoy } = await startMesh(t);
  const greeting = async (address: string, localAddress = "127.0.0.1"): Promise<string> => {
    const socket = connect({ port: port(address), host: "127.0.0.1", localAddress });
    const [bytes] = await once(socket, "data");
    socket.destroy();
    return String(bytes);
  };
  const address = (name: string) => `10.96.3.${Object.keys(routes).indexOf(name) + 1}_3306`;

  await t.test("weights of TCP destinations are kept within five standard deviations", async () => {
    const greetings: string[] = [];
    for (let i = 0; i < 300; i += 20) {
      greetings.push(...(await Promise.all(Array.from({ length: 20 }, () => greeting(address("split"))))));
    }
    const small = greetings.filter((name) => name === "v2").length;
    assert.ok(Math.abs(small - 60) < 5 * Math.sqrt(300 * 0.2 * 0.8), `${small} of 300`);
  });

  for (const [name, version] of [
    ["by-port", "v2"],
    ["by-address", "v2"],
    ["by-narrower-address", "v2"],
    ["by-labels", "v2"],
    ["by-gateway", "v2"],
    ["first", "v1"],
  ] as const) {
    await t.test(`${name}: the TCP route that fits is taken`, async () => {
      for (let i = 0; i < 5; i++) assert.equal(await greeting(address(name)), version);
    });
  }

  await t.test("consistentHash.useSourceIp: one address meets one endpoint, and all of them both", async () => {
    const callers = Array.from({ length: 40 }, (_, index) => `127.0.1.${index + 1}`);
    const meet = () => Promise.all(callers.map((caller) => greeting("10.96.0.5_3306", caller)));
    const met = await meet();
    assert.deepEqual(await meet(), met);
    assert.deepEqual([...new Set(met)].sort(), ["v1", "v2"]);
  });

  for (const [index, name] of databases.entries()) {
    await t.test(`a port called ${name} is TCP: the server may speak first`, async () => {
      assert.equal(await greeting(`10.96.5.${index + 1}_4000`), "v1");
    });
  }

  const tlsGreeting = async (servername: string): Promise<string> => {
    const socket = connectTls({ port: port("10.96.0.2_443"), servername, rejectUnauthorized: false });
    const [bytes] = await once(socket, "data");
    socket.destroy();
    return String(bytes);
  };

  await t.test("TLS goes by the server's name, whole or below a wildcard, and stays as it is", async () => {
    for (let i = 0; i < 5; i++) assert.equal(await tlsGreeting("one.test"), "v1 for one.test");
    for (let i = 0; i < 5; i++) assert.equal(await tlsGreeting("a.wild.test"), "v2 for a.wild.test");
    assert.equal(await tlsGreeting("two.test"), "v2 for two.test");
  });

  for (const [name] of conditions) {
    await t.test(`a TLS route's condition on the ${name} holds or not`, async () => {
      for (let i = 0; i < 5; i++) assert.equal(await tlsGreeting(`${name}.test`), `v2 for ${name}.test`);
    });
  }

  await t.test("another server's name has the service's own way", async () => {
    const names = new Set<string>();
    for (let i = 0; i < 30; i++) names.add(await tlsGreeting("other.example.com"));
    assert.deepEqual([...names].sort(), ["v1 for other.example.com", "v2 for other.example.com"]);
  });

  for (const [what, place, stat] of [
    ["connectionPool.tcp.idleTimeout", "10.96.0.3_3306", "idle.shop.svc.cluster.local.idle_timeout"],
    [
      "connectionPool.tcp.maxConnectionDuration",
      "10.96.0.4_3306",
      "aged.shop.svc.cluster.local.max_downstream_connection_duration",
    ],
  ] as const) {
    await t.test(`${what}: the connection is ended`, async () => {
      // The greeting may come or not: on a busy machine the time may be over before.
      await once(connect(port(place), "127.0.0.1").resume(), "close");
      assert.equal(await envoy.stat(`tcp.outbound|3306||${stat}`), 1);
    });
  }

  await t.test("tunnel: the connection goes through an HTTP proxy, by CONNECT or POST", async () => {
    assert.equal(await greeting("10.96.4.1_3306"), "CONNECT far.test:25");
    assert.equal(await greeting("10.96.4.2_3306"), "POST [fd00::1]:25");
  });
});

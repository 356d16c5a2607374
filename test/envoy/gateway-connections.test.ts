import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer as createTcpServer } from "node:net";
import { test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { envoyMissing } from "../support/envoy.ts";
import { gateway, gatewayIdentities, startGateway } from "../support/gateway.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { listenOn } from "../support/upstream.ts";

/** Where a gateway sends connections that carry no requests, or whose TLS it passes on: asked of a real Envoy. */

const skip = envoyMissing();
const GATEWAYS = ["ingress/public"];
const server = (number: number, protocol: string, hosts: string[] = ["*"], more: object = {}) => ({
  port: { number, name: `${protocol.toLowerCase()}-${number}`, protocol },
  hosts,
  ...more,
});

test("connections go by weights and subsets, by port or by server name", { skip }, async (t) => {
  const identities = await gatewayIdentities(t);
  const names = ["v1", "v2"];
  const ips = ["127.0.0.61", "127.0.0.62"];
  const greeter = (name: string, ip: string) =>
    listenOn(
      t,
      createTcpServer((socket) => socket.on("error", () => socket.destroy()).end(name)),
      ip,
    );
  const { chainPem: cert, keyPem: key } = identities.own;
  const tlsGreeter = (name: string, ip: string) =>
    listenOn(
      t,
      createTlsServer({ cert, key }, (socket) => socket.on("error", () => socket.destroy()).end(name)),
      ip,
    );
  const versions = await Promise.all(
    names.map(async (version, index) => {
      const ip = ips[index] ?? "";
      const one = { name: `db-${version}`, ip };
      return (
        pod({ ...one, labels: { app: "db", version } }) +
        endpoint("db", one, { tcp: await greeter(version, ip), tls: await tlsGreeter(version, ip) })
      );
    }),
  );
  const to = (subset: string, number: number, weight?: number) => ({
    destination: { host: "db.shop.svc.cluster.local", subset, port: { number } },
    ...(weight === undefined ? {} : { weight }),
  });
  const shares = (number: number) => [to("v1", number, 75), to("v2", number, 25)];
  const passed = { tls: { mode: "PASSTHROUGH" } };
  const { port } = await startGateway(
    t,
    identities,
    [
      gateway("public", [
        server(3306, "TCP"),
        server(3307, "TCP"),
        server(443, "HTTPS", ["*.test"], passed),
        server(443, "TLS", ["one.narrow.example.com", "shop/own.example.com", "other/theirs.example.com"], passed),
      ]),
      service({ name: "db", ports: { tcp: 3306, tls: 443 }, clusterIP: "10.96.1.1" }),
      ...versions,
      istio("DestinationRule", "db", {
        host: "db",
        subsets: names.map((version) => ({ name: version, labels: { version } })),
      }),
      istio("VirtualService", "db", {
        hosts: ["*"],
        gateways: GATEWAYS,
        tcp: [
          { match: [{ port: 3306 }], route: shares(3306) },
          { match: [{ port: 3307 }], route: [to("v2", 3306)] },
        ],
      }),
      istio("VirtualService", "tls", {
        hosts: ["*.test"],
        gateways: GATEWAYS,
        tls: [
          { match: [{ sniHosts: ["split.test"] }], route: shares(443) },
          { match: [{ port: 443, sniHosts: ["two.test", "*.two.test"] }], route: [to("v2", 443)] },
          { match: [{ sniHosts: ["*.test"] }], route: [to("v1", 443)] },
        ],
      }),
      istio("VirtualService", "owner", {
        hosts: ["own.example.com", "theirs.example.com"],
        gateways: GATEWAYS,
        tls: [{ match: [{ sniHosts: ["own.example.com", "theirs.example.com"] }], route: [to("v1", 443)] }],
      }),
      istio("VirtualService", "wider", {
        hosts: ["*.narrow.example.com"],
        gateways: GATEWAYS,
        tls: [{ match: [{ sniHosts: ["*.narrow.example.com"] }], route: [to("v2", 443)] }],
      }),
    ].join(""),
  );
  const heard = async (socket: ReturnType<typeof connect>) => {
    const [bytes] = await once(socket, "data");
    socket.destroy();
    return String(bytes);
  };
  const greeting = (number: number) => heard(connect(port("edge", `0.0.0.0_${number}`), "127.0.0.1"));
  const tlsGreeting = (servername: string) =>
    heard(connectTls({ port: port("edge", "0.0.0.0_443"), servername, rejectUnauthorized: false }));
  const small = async (greet: () => Promise<string>) => {
    const met: string[] = [];
    for (let i = 0; i < 300; i += 20) met.push(...(await Promise.all(Array.from({ length: 20 }, greet))));
    return met.filter((name) => name === "v2").length;
  };
  const bound = 5 * Math.sqrt(300 * 0.25 * 0.75);

  await t.test("TCP: by weights, within five standard deviations", async () => {
    const count = await small(() => greeting(3306));
    assert.ok(Math.abs(count - 75) < bound, `${count} of 300`);
  });

  await t.test("TCP: by port", async () => {
    for (let i = 0; i < 5; i++) assert.equal(await greeting(3307), "v2");
  });

  await t.test("TLS: by weights of a server name's route", async () => {
    const count = await small(() => tlsGreeting("split.test"));
    assert.ok(Math.abs(count - 75) < bound, `${count} of 300`);
  });

  await t.test("TLS: by the name, whole or below a wildcard", async () => {
    for (const [name, version] of [
      ["two.test", "v2"],
      ["a.two.test", "v2"],
      ["other.test", "v1"],
    ] as const) {
      for (let i = 0; i < 3; i++) assert.equal(await tlsGreeting(name), version, name);
    }
  });

  await t.test("TLS: of a route's name and a server's that is narrower, the narrower is heard", async () => {
    assert.equal(await tlsGreeting("one.narrow.example.com"), "v2");
    await assert.rejects(tlsGreeting("two.narrow.example.com"));
  });

  await t.test("TLS: a name is heard of the namespaces alone that the server names for it", async () => {
    assert.equal(await tlsGreeting("own.example.com"), "v1");
    await assert.rejects(tlsGreeting("theirs.example.com"));
  });
});

import assert from "node:assert/strict";
import { get } from "node:http";
import { connect as connectPlain } from "node:net";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { openAds, sidecarNode, TYPE_URL } from "../support/ads-client.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { until } from "../support/until.ts";

/** A client that finishes its handshake, where it may, and says no more. */
function openSilent(t: TestContext, port: number) {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"] });
  t.after(() => socket.destroy());
  socket.on("error", () => {}).resume();
  return { isOpen: () => socket.getCipher() !== undefined, isClosed: () => socket.closed };
}

test("one address gets its part of the connections on either port, metrics tell of the rest, and proxies stay", async (t) => {
  const mesh = await testControlPlane(t, {}, { maxConnections: 20, maxConnectionsPerAddress: 5 });
  const token = await mesh.issuer.issue({ namespace: "shop", serviceAccount: "cart", ttlMs: 60_000 });
  const ads = openAds(t, { port: mesh.ports.grpc, rootPath: mesh.rootPath }, token);
  ads.subscribe(sidecarNode("cart-1", "shop", "cart"), TYPE_URL.cluster);
  await ads.response();

  for (const [port, allowed] of [
    [mesh.ports.grpc, 4],
    [mesh.ports.https, 5],
  ] as const) {
    const clients = Array.from({ length: 12 }, () => openSilent(t, port));
    await until("the others to be closed", () => clients.filter((one) => one.isClosed()).length === 12 - allowed);
    await until("those that may be there", () => clients.filter((one) => one.isOpen()).length >= allowed);
  }
  const metrics = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  for (const [port, refused] of Object.entries({ grpc: 8, https: 7 })) {
    const line = `trysail_connections_refused_total{port="${port}",reason="too-many-of-address"} ${refused}`;
    assert.ok(metrics.includes(line), line);
  }
  ads.subscribe(null, TYPE_URL.listener);
  await ads.response();
});

/** The status of a GET from that address. */
function statusFrom(localAddress: string, port: number, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asking = get({ host: "127.0.0.1", port, path, localAddress, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asking.on("error", reject);
  });
}

test("however many connections a stranger has to the ports for probes and metrics, others are answered", {
  timeout: 30_000,
}, async (t) => {
  const mesh = await testControlPlane(t, {});
  const most = 200;
  for (const [port, path] of [
    [mesh.ports.http, "/ready"],
    [mesh.ports.monitoring, "/metrics"],
  ] as const) {
    let closed = 0;
    for (let count = 0; count < 300; count++) {
      const socket = connectPlain(port, "127.0.0.1");
      t.after(() => socket.destroy());
      socket.on("error", () => {}).on("close", () => closed++);
      socket.resume();
    }
    await until("all but some of the stranger's to be closed", () => closed === 300 - most);
    assert.equal(await statusFrom("127.0.0.2", port, path), 200);
  }
  // Nor do those that never ask keep it from ending, as they did for a minute.
  await mesh.stop();
});

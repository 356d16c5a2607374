import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer as createHttp2Server } from "node:http2";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { callHttp, get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startSilent } from "../support/silent.ts";
import { until } from "../support/until.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** What the mesh config asks of every sidecar, at a real Envoy: one with the setting beside one without. */

const SETTINGS = `
enableAutoMtls: false
connectTimeout: 0.2s
dnsRefreshRate: 0.05s
tcpKeepalive: { probes: 2, time: 60s, interval: 5s }
pathNormalization: { normalization: DECODE_AND_MERGE_SLASHES }
defaultHttpRetryPolicy: { attempts: 4, retryOn: 5xx }
`;

/** Whether the kernel has a timer on the connections to an address, as it has on idle ones that are kept alive. */
function isKeptAlive({ ip, port }: { readonly ip: string; readonly port: number }): boolean {
  const hex = ip
    .split(".")
    .reverse()
    .map((part) => Number(part).toString(16).padStart(2, "0"))
    .join("");
  const remote = `${hex}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
  const lines = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const own = lines.filter(([, , to, state]) => to === remote && state === "01");
  assert.ok(own.length > 0, `no connection to ${ip}`);
  return own.some(([, , , , , timer]) => timer?.startsWith("02:"));
}

async function startMesh(t: TestContext, settings: string, net: number) {
  const ip = (last: number) => `127.0.${net}.${last}`;
  const web = await startUpstream(t, "web", ip(1));
  const kept = await startUpstream(t, "kept", ip(5));
  const sealed = await startUpstream(t, "sealed", ip(2));
  const http2 = { ip: ip(3), port: 0 };
  http2.port = await listenOn(
    t,
    createHttp2Server((request, response) => response.end(request.httpVersion)),
    http2.ip,
  );
  const silent = await startSilent(t, ip(4));
  // Retries of its own would hide how often a connection was tried.
  const once = (name: string) =>
    istio("VirtualService", name, {
      hosts: [name],
      http: [{ route: [{ destination: { host: name } }], retries: { attempts: 0 }, timeout: "5s" }],
    });
  const backend = (name: string, at: { ip: string; port: number }, index: number, tls = false) =>
    service({ name, ports: { http: 80 }, clusterIP: `10.96.${net}.${index}` }) +
    pod({ name: `${name}-0`, ip: at.ip, labels: { app: name }, tls }) +
    endpoint(name, { name: `${name}-0`, ip: at.ip }, { http: at.port });
  const yaml = [
    meshConfig(settings),
    pod({ name: "caller", ip: ip(9), labels: { app: "caller" } }),
    backend("web", web, 1),
    backend("sealed", sealed, 2, true) + once("sealed"),
    backend("modern", http2, 3) + once("modern"),
    backend("silent", silent, 4) + once("silent"),
    backend("kept", kept, 5),
    istio("DestinationRule", "kept", {
      host: "kept",
      trafficPolicy: { connectionPool: { tcp: { tcpKeepalive: { time: "60s" } } } },
    }),
    istio("ServiceEntry", "named", {
      hosts: ["named.example.com"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
      endpoints: [{ address: "localhost", ports: { http: web.port } }],
    }),
  ].join("");
  const running = await startSidecars(t, placeholderIdentity(), { caller: { mesh: meshOf(yaml), pod: "caller.shop" } });
  const ask = (host: string, path = "/") => get(running.port("caller", "0.0.0.0_80"), { path, headers: { host } });
  const stat = (name: string, host: string) => running.envoy.stat(`cluster.outbound|80||${host}.${name}`);
  return { ask, stat, web, kept };
}

test("the mesh's settings hold for every sidecar", { skip: envoyMissing() }, async (t) => {
  const set = await startMesh(t, SETTINGS, 61);
  const unset = await startMesh(t, "{}", 62);

  await t.test("enableAutoMtls: where it is off, workloads that take mutual TLS are called in plaintext", async () => {
    assert.equal((await set.ask("sealed")).status, 200);
    assert.equal((await unset.ask("sealed")).status, 503);
  });

  await t.test("connectTimeout: who does not answer the call is given up", async () => {
    assert.equal((await set.ask("silent")).status, 503);
    assert.equal(await set.stat("upstream_cx_connect_timeout", "silent.shop.svc.cluster.local"), 1);
    assert.equal((await unset.ask("silent")).status, 504, "the route's own time is over first");
  });

  await t.test("h2UpgradePolicy: HTTP/1.1 becomes HTTP/2 for all services", async () => {
    const upgraded = await startMesh(t, "h2UpgradePolicy: UPGRADE", 63);
    assert.equal((await upgraded.ask("modern")).body, "2.0");
    assert.notEqual((await unset.ask("modern")).status, 200);
  });

  await t.test("pathNormalization: slashes are decoded and merged", async () => {
    const seen = async (mesh: typeof set) => JSON.parse((await mesh.ask("web", "/a%2Fb//c/../d")).body).url;
    assert.equal(await seen(set), "/a/b/d");
    assert.equal(await seen(unset), "/a%2Fb//d");
  });

  await t.test("defaultHttpRetryPolicy: of routes that say nothing of retries", async () => {
    assert.equal((await set.ask("web", "/status/500/3/x")).status, 200);
    assert.equal(set.web.count("/status/500/3/x"), 4);
    assert.equal((await unset.ask("web", "/status/500/3/x")).status, 500);
    assert.equal(unset.web.count("/status/500/3/x"), 1);
  });

  await t.test("tcpKeepalive: connections to services are kept alive, or those that a rule names", async () => {
    for (const mesh of [set, unset]) assert.equal((await mesh.ask("web")).status, 200);
    assert.equal((await unset.ask("kept")).status, 200);
    await until("the timers", () => isKeptAlive(set.web) && isKeptAlive(unset.kept));
    assert.equal(isKeptAlive(unset.web), false);
  });

  await t.test(
    "inboundTrafficPolicy: what a Service leads to is sent to loopback, or stays as it was dialled",
    async (t) => {
      const app = await startUpstream(t, "app", "127.0.0.1");
      const answer = async (settings: string) => {
        const yaml = [
          meshConfig(settings),
          pod({ name: "app", ip: "127.0.61.7", labels: { app: "app" } }),
          service({ name: "app", ports: { http: { port: 80, targetPort: app.port } } }),
        ].join("");
        const { port } = await startSidecars(t, placeholderIdentity(), {
          app: { mesh: meshOf(yaml), pod: "app.shop" },
        });
        const dialled = { destination: app.port, address: "127.0.61.7" };
        return (await callHttp({ port: port("app", "virtualInbound"), ...dialled }))?.status;
      };
      assert.equal(await answer("inboundTrafficPolicy: { mode: LOCALHOST }"), 200);
      assert.equal(await answer("{}"), 503, "nobody listens at the pod's own address");
    },
  );

  await t.test("dnsRefreshRate: names are looked up again", async () => {
    const lookups = (mesh: typeof set) => mesh.stat("update_attempt", "named.example.com");
    await until("more lookups", async () => (await lookups(set)) >= 4);
    assert.ok((await lookups(unset)) < 3);
  });
});

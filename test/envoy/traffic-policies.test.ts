import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get, type HttpCall } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startSilent } from "../support/silent.ts";
import { until } from "../support/until.ts";
import { listenOn, startUpstream, type Upstream } from "../support/upstream.ts";

/** What DestinationRules ask for, asked of a real Envoy: each policy is that of a service of its own. */

type Endpoints = readonly Pick<Upstream, "ip" | "port">[];

/** A service of these endpoints, under a rule. */
function ruled(name: string, index: number, endpoints: Endpoints, spec: object): string {
  const pods = endpoints.map(({ ip, port }, at) => {
    const of = { name: `${name}-${at}`, ip, labels: { app: name, version: `v${at + 1}` } };
    return pod(of) + endpoint(name, of, { http: port });
  });
  return [
    service({ name, ports: { http: 80 }, clusterIP: `10.96.1.${index + 1}` }),
    ...pods,
    istio("DestinationRule", name, { host: name, ...spec }),
    istio("VirtualService", name, {
      hosts: [name],
      http: [
        {
          match: [{ headers: { "x-subset": {} } }],
          route: [{ destination: { host: name, subset: "v1" } }],
          retries: { attempts: 0 },
          timeout: "1s",
        },
        {
          match: [{ headers: { "x-retry": {} } }],
          route: [{ destination: { host: name } }],
          retries: { attempts: 3, retryOn: "503" },
        },
        { route: [{ destination: { host: name } }], retries: { attempts: 0 }, timeout: "1s" },
      ],
    }),
  ].join("");
}

/** Speaks HTTP/2 only, and says so, but does not answer at `/never`. */
async function startHttp2(t: TestContext): Promise<Pick<Upstream, "ip" | "port">> {
  const server = createHttp2Server((request, response) => {
    if (request.url !== "/never") response.end(request.httpVersion);
  });
  return { ip: "127.0.0.65", port: await listenOn(t, server, "127.0.0.65") };
}

/** Answers any request with the bytes that came before it. */
async function startPreamble(t: TestContext): Promise<Pick<Upstream, "ip" | "port">> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    let heard = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      heard += text;
      // Both may come in one piece, or not.
      const at = heard.indexOf("GET ");
      if (at < 0) return;
      const before = heard.slice(0, at);
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${before.length}\r\nconnection: close\r\n\r\n${before}`);
    });
  });
  return { ip: "127.0.0.66", port: await listenOn(t, server, "127.0.0.66") };
}

async function startMesh(t: TestContext) {
  const four = await Promise.all([1, 2, 3, 4].map((n) => startUpstream(t, `u${n}`, `127.0.0.${60 + n}`)));
  const one = four.slice(0, 1);
  const two = four.slice(0, 2);
  const http2 = [await startHttp2(t)];
  const preamble = [await startPreamble(t)];
  const silent = [await startSilent(t, "127.0.0.68")];
  const refusing = [...one, { ip: "127.0.0.67", port: 9 }];
  const hash = (consistentHash: object) => ({ trafficPolicy: { loadBalancer: { consistentHash } } });
  const pool = (connectionPool: object) => ({ trafficPolicy: { connectionPool } });
  const outliers = (outlierDetection: object) => ({
    trafficPolicy: {
      loadBalancer: { simple: "ROUND_ROBIN" },
      outlierDetection: { interval: "0.1s", maxEjectionPercent: 100, ...outlierDetection },
    },
  });
  const services: Record<string, readonly [Endpoints, object]> = {
    "by-header": [four, hash({ httpHeaderName: "x-user" })],
    "by-query": [four, hash({ httpQueryParameterName: "user", maglev: { tableSize: 251 } })],
    "by-cookie": [
      four,
      hash({
        httpCookie: { name: "session", path: "/", ttl: "60s", attributes: [{ name: "SameSite", value: "Strict" }] },
        ringHash: { minimumRingSize: 64 },
      }),
    ],
    "by-found-cookie": [four, hash({ httpCookie: { name: "session" } })],
    "by-address": [four, hash({ useSourceIp: true })],
    "round-robin": [four, { trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } }],
    random: [four, { trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }],
    warm: [
      four,
      { trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN", warmup: { duration: "1h", aggression: 2 } } } },
    ],
    breaker: [one, pool({ tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } })],
    requests: [one, pool({ http: { http2MaxRequests: 2 } })],
    "short-lived": [one, pool({ http: { maxRequestsPerConnection: 2 } })],
    idle: [one, pool({ http: { idleTimeout: "0.2s" } })],
    "idle-by-tcp": [one, pool({ tcp: { idleTimeout: "0.2s" } })],
    aged: [one, pool({ tcp: { maxConnectionDuration: "0.2s" } })],
    upgraded: [http2, pool({ http: { h2UpgradePolicy: "UPGRADE" } })],
    "few-streams": [http2, pool({ http: { h2UpgradePolicy: "UPGRADE", maxConcurrentStreams: 2 } })],
    "many-streams": [http2, pool({ http: { h2UpgradePolicy: "UPGRADE" } })],
    "as-called": [http2, pool({ http: { useClientProtocol: true } })],
    "not-upgraded": [one, pool({ http: { h2UpgradePolicy: "DO_NOT_UPGRADE" } })],
    "no-budget": [one, { trafficPolicy: { retryBudget: { percent: 0, minRetryConcurrency: 0 } } }],
    "no-retries": [one, pool({ http: { maxRetries: 1 } })],
    "proxy-v1": [preamble, { trafficPolicy: { proxyProtocol: { version: "V1" } } }],
    "proxy-v2": [preamble, { trafficPolicy: { proxyProtocol: { version: "V2" } } }],
    ejected: [two, outliers({ consecutive5xxErrors: 3, baseEjectionTime: "3600s" })],
    "gateway-ejected": [
      two,
      outliers({ consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, baseEjectionTime: "1h" }),
    ],
    "gateway-ejected-of-old": [
      two,
      outliers({ consecutive5xxErrors: 0, consecutiveErrors: 3, baseEjectionTime: "1h" }),
    ],
    returning: [two, outliers({ consecutive5xxErrors: 2, baseEjectionTime: "0.3s" })],
    unreachable: [
      refusing,
      outliers({
        splitExternalLocalOriginErrors: true,
        consecutiveLocalOriginFailures: 2,
        baseEjectionTime: "1h",
      }),
    ],
    // Half of two: the other one stays, however it fails.
    "half-ejected": [two, outliers({ consecutive5xxErrors: 1, baseEjectionTime: "1h", maxEjectionPercent: 50 })],
    silent: [silent, pool({ tcp: { connectTimeout: "0.2s" } })],
    "never-all": [one, outliers({ consecutive5xxErrors: 1, baseEjectionTime: "1h", minHealthPercent: 50 })],
    "port-level": [
      one,
      {
        trafficPolicy: {
          connectionPool: { http: { http2MaxRequests: 1000 } },
          portLevelSettings: [{ port: { number: 80 }, connectionPool: { http: { http2MaxRequests: 2 } } }],
        },
        subsets: [
          {
            name: "v1",
            labels: { version: "v1" },
            trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } },
          },
        ],
      },
    ],
  };
  const yaml = Object.entries(services).map(([name, [endpoints, spec]], index) => ruled(name, index, endpoints, spec));
  const mesh = meshOf([pod({ name: "caller", ip: "127.0.0.60" }), ...yaml].join(""));
  const { port, envoy } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });
  const listener = port("caller", "0.0.0.0_80");
  const ask = (host: string, call: HttpCall = {}) => get(listener, { ...call, headers: { host, ...call.headers } });
  const upstreamOf = async (host: string, call: HttpCall = {}) => {
    const { status, body } = await ask(host, call);
    assert.equal(status, 200, body);
    return String(JSON.parse(body).upstream);
  };
  const stat = (host: string, name: string) =>
    envoy.stat(`cluster.outbound|80||${host}.shop.svc.cluster.local.${name}`);
  return { listener, ask, upstreamOf, stat, four };
}

test("DestinationRules hold at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const { listener, ask, upstreamOf, stat, four } = await startMesh(t);
  const [first, second] = four;
  assert.ok(first !== undefined && second !== undefined);

  const keys = Array.from({ length: 20 }, (_, index) => `user-${index}`);
  const sticky: readonly [host: string, call: (key: string) => HttpCall][] = [
    ["by-header", (key) => ({ headers: { "x-user": key } })],
    ["by-query", (key) => ({ path: `/?user=${key}` })],
    ["by-cookie", (key) => ({ headers: { cookie: `session=${key}` } })],
    ["by-found-cookie", (key) => ({ headers: { cookie: `session=${key}` } })],
    ["by-address", (key) => ({ from: `127.0.1.${1 + keys.indexOf(key)}` })],
  ];
  for (const [host, call] of sticky) {
    await t.test(`consistentHash: ${host}, one caller meets one endpoint, and all callers several`, async () => {
      const met = await Promise.all(keys.map((key) => upstreamOf(host, call(key))));
      assert.deepEqual(await Promise.all(keys.map((key) => upstreamOf(host, call(key)))), met);
      assert.ok(new Set(met).size >= 3, met.join(" "));
    });
  }

  await t.test(
    "consistentHash.httpCookie: who has none is given one, with its attributes, that leads back",
    async () => {
      const { headers, body } = await ask("by-cookie");
      const [cookie = ""] = headers["set-cookie"] ?? [];
      assert.match(cookie, /^session="[0-9a-f]+"; Max-Age=60; Path=\/; SameSite=Strict/);
      const again = await upstreamOf("by-cookie", { headers: { cookie: cookie.split(";")[0] ?? "" } });
      assert.match(again, /^u[1-4]$/);
      assert.ok(body.length > 0);
      assert.equal((await ask("by-found-cookie")).headers["set-cookie"], undefined, "without a ttl none is made");
    },
  );

  await t.test("loadBalancer.simple: ROUND_ROBIN goes around, with a warmup or not", async () => {
    for (const host of ["round-robin", "warm"]) {
      const met: string[] = [];
      for (let i = 0; i < 40; i++) met.push(await upstreamOf(host));
      const counts = [...Map.groupBy(met, (name) => name).values()].map(({ length }) => length);
      assert.equal(counts.length, 4, host);
      if (host === "round-robin") assert.deepEqual(counts, [10, 10, 10, 10]);
    }
  });

  await t.test("loadBalancer.simple: RANDOM meets all, within five standard deviations", async () => {
    const met = await Promise.all(Array.from({ length: 400 }, () => upstreamOf("random")));
    for (const list of Map.groupBy(met, (name) => name).values()) {
      assert.ok(Math.abs(list.length - 100) < 5 * Math.sqrt(400 * 0.25 * 0.75), `${list.length} of 400`);
    }
    assert.equal(new Set(met).size, 4);
  });

  /** How many of requests at once are shed; those that are not wait for an answer that never comes. */
  const flood = async (host: string, count: number, headers: Record<string, string> = {}) => {
    const answers = await Promise.all(Array.from({ length: count }, () => ask(host, { path: "/never", headers })));
    return answers.filter((answer) => answer.headers["x-envoy-overloaded"] === "true").length;
  };

  await t.test("connectionPool: the circuit opens above maxConnections and http1MaxPendingRequests", async () => {
    const shed = await flood("breaker", 6);
    // One is sent and one waits; the first waits as well, for its connection, where all are quicker than that.
    assert.ok(shed === 4 || shed === 5, `${shed} of 6`);
    assert.equal(await stat("breaker", "upstream_rq_pending_overflow"), shed);
  });

  await t.test("connectionPool: the circuit opens above http2MaxRequests, and closes again", async () => {
    assert.equal(await flood("requests", 5), 3);
    assert.equal((await ask("requests")).status, 200);
  });

  await t.test("portLevelSettings: a port's settings go before the rule's, a subset's before both", async () => {
    assert.equal(await flood("port-level", 5), 3);
    assert.equal(await flood("port-level", 5, { "x-subset": "v1" }), 4);
  });

  await t.test("connectionPool.http.maxRequestsPerConnection: connections are used up", async () => {
    for (let i = 0; i < 6; i++) await ask("short-lived");
    assert.equal(await stat("short-lived", "upstream_cx_total"), 3);
  });

  await t.test("connectionPool: connections end that are idle, or too old", async () => {
    for (const name of ["idle", "idle-by-tcp"]) {
      await ask(name);
      await until(`${name} to end`, async () => (await stat(name, "upstream_cx_idle_timeout")) === 1);
    }
    await ask("aged");
    await until("the old one to end", async () => (await stat("aged", "upstream_cx_max_duration_reached")) >= 1);
  });

  await t.test("connectionPool.http.h2UpgradePolicy: HTTP/1.1 becomes HTTP/2, or stays", async () => {
    assert.equal((await ask("upgraded")).body, "2.0");
    assert.equal(await stat("upgraded", "upstream_cx_http2_total"), 1);
    assert.equal((await ask("not-upgraded")).status, 200);
    assert.equal(await stat("not-upgraded", "upstream_cx_http2_total"), 0);
  });

  await t.test("connectionPool.http.maxConcurrentStreams: what is more has a connection of its own", async () => {
    const hold = (host: string) => Promise.all(Array.from({ length: 6 }, () => ask(host, { path: "/never" })));
    await Promise.all(["few-streams", "many-streams"].map(hold));
    assert.equal(await stat("few-streams", "upstream_cx_http2_total"), 3);
    assert.equal(await stat("many-streams", "upstream_cx_http2_total"), 1);
  });

  await t.test("connectionPool.http.useClientProtocol: the upstream is spoken to as the caller speaks", async (t) => {
    assert.notEqual((await ask("as-called")).body, "2.0");
    const session = connectHttp2(`http://127.0.0.1:${listener}`);
    t.after(() => session.destroy());
    const stream = session.request({ ":path": "/", ":authority": "as-called" });
    const [chunk] = await once(stream, "data");
    assert.equal(String(chunk), "2.0");
  });

  await t.test("retryBudget and maxRetries: retries are shed, not requests", async () => {
    const path = "/status/503/2/budget";
    assert.equal((await ask("no-budget", { path, headers: { "x-retry": "1" } })).status, 503);
    assert.equal(await stat("no-budget", "upstream_rq_retry_overflow"), 1);
    assert.equal(first.count(path), 1);
    const paths = [0, 1, 2, 3].map((at) => `/status/503/3/retries-${at}`);
    await Promise.all(paths.map((one) => ask("no-retries", { path: one, headers: { "x-retry": "1" } })));
    assert.ok((await stat("no-retries", "upstream_rq_retry_overflow")) >= 1);
  });

  await t.test("proxyProtocol: the upstream is told who calls", async () => {
    assert.match((await ask("proxy-v1")).body, /^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n$/);
    const { body } = await ask("proxy-v2");
    assert.ok(body.startsWith("\r\n\r\n\0\r\nQUIT\n"), JSON.stringify(body));
  });

  /** Requests for a path that only the second endpoint's turn sees as bad, until it is left out. */
  const ejections = (host: string) => stat(host, "outlier_detection.ejections_active");
  const failures = async (host: string, status: number, times: number) => {
    for (let i = 0; i < times; i++) await ask(host, { path: `/status/${status}/1/${host}-${i}` });
  };

  await t.test("outlierDetection.consecutive5xxErrors: endpoints that fail in a row are left out", async () => {
    assert.equal(await ejections("ejected"), 0);
    await failures("ejected", 500, 8);
    await until("ejections", async () => (await ejections("ejected")) >= 1);
  });

  await t.test("outlierDetection.consecutiveGatewayErrors: 500 counts as nothing, 503 does", async () => {
    // By its name of today, and by the one it had: consecutiveErrors.
    for (const name of ["gateway-ejected", "gateway-ejected-of-old"]) {
      await failures(name, 500, 10);
      assert.equal(await ejections(name), 0);
      await failures(name, 503, 10);
      await until("ejections", async () => (await ejections(name)) >= 1);
    }
  });

  await t.test("outlierDetection.baseEjectionTime: what was left out comes back", async () => {
    await failures("returning", 500, 4);
    await until(
      "an ejection",
      async () => (await stat("returning", "outlier_detection.ejections_enforced_total")) >= 1,
    );
    await until("the return", async () => (await ejections("returning")) === 0);
    assert.equal((await ask("returning")).status, 200);
  });

  await t.test("outlierDetection: an endpoint that cannot be reached is left out by its own count", async () => {
    for (let i = 0; i < 6; i++) await ask("unreachable");
    await until("its ejection", async () => (await ejections("unreachable")) === 1);
    for (let i = 0; i < 6; i++) assert.equal(await upstreamOf("unreachable"), "u1");
  });

  await t.test("outlierDetection.maxEjectionPercent: no more are left out, however they fail", async () => {
    await failures("half-ejected", 500, 20);
    await until("an ejection", async () => (await ejections("half-ejected")) === 1);
    assert.ok((await stat("half-ejected", "outlier_detection.ejections_overflow")) >= 1, "the other was not spared");
    assert.equal(await ejections("half-ejected"), 1);
  });

  await t.test("connectionPool.tcp.connectTimeout: who does not answer the call is given up", async () => {
    // Behind a second the route's timeout would answer 504.
    assert.equal((await ask("silent")).status, 503);
    assert.equal(await stat("silent", "upstream_cx_connect_timeout"), 1);
  });

  await t.test("outlierDetection.minHealthPercent: with fewer left, all are asked again", async () => {
    await failures("never-all", 500, 2);
    await until("its ejection", async () => (await ejections("never-all")) === 1);
    assert.equal(await upstreamOf("never-all"), "u1");
    assert.ok((await stat("never-all", "lb_healthy_panic")) >= 1);
  });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import type { HttpCall } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { type RuledServices, startRuled } from "../support/ruled-services.ts";
import { startSilent } from "../support/silent.ts";
import { until } from "../support/until.ts";
import { listenOn, startUpstream, type Upstream } from "../support/upstream.ts";

/** How DestinationRules balance and pool, asked of a real Envoy: each policy is that of a service of its own. */

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

interface Flood {
  readonly headers?: Record<string, string>;
  /** That the headers lead to. */
  readonly subset?: string;
  /** What is asked while they wait. */
  readonly look?: () => Promise<void>;
}

async function startMesh(t: TestContext) {
  const four = await Promise.all([1, 2, 3, 4].map((n) => startUpstream(t, `u${n}`, `127.0.0.${60 + n}`)));
  const one = four.slice(0, 1);
  const http2 = [await startHttp2(t)];
  const preamble = [await startPreamble(t)];
  const silent = [await startSilent(t, "127.0.0.68")];
  const hash = (consistentHash: object) => ({ trafficPolicy: { loadBalancer: { consistentHash } } });
  const pool = (connectionPool: object) => ({ trafficPolicy: { connectionPool } });
  const services: RuledServices = {
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
    silent: [silent, pool({ tcp: { connectTimeout: "0.2s" } })],
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
  return { ...(await startRuled(t, services)), four };
}

test("DestinationRules hold at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const { envoy, listener, ask, upstreamOf, stat, four } = await startMesh(t);
  const [first, second] = four;
  assert.ok(first !== undefined && second !== undefined);

  const keys = Array.from({ length: 60 }, (_, index) => `user-${index}`);
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

  /**
   * How many of requests at once are shed, once all others are sent on or wait for a connection, and for an answer that
   * never comes. Behind `look` they are given up.
   */
  const flood = async (host: string, count: number, { headers = {}, subset = "", look }: Flood = {}) => {
    const cluster = `cluster.outbound|80|${subset}|${host}.shop.svc.cluster.local`;
    const calls = new AbortController();
    const { signal } = calls;
    let shed = 0;
    for (let i = 0; i < count; i++) {
      ask(host, { path: "/never", headers, signal }).then(
        (answer) => {
          if (answer.headers["x-envoy-overloaded"] === "true") shed++;
        },
        () => undefined,
      );
    }
    const waiting = async () =>
      (await envoy.stat(`${cluster}.upstream_rq_active`)) + (await envoy.stat(`${cluster}.upstream_rq_pending_active`));
    await until("all to be shed or to wait", async () => shed + (await waiting()) === count);
    await look?.();
    calls.abort();
    await until("the others to be given up", async () => (await waiting()) === 0);
    return shed;
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
    assert.equal(await flood("port-level", 5, { headers: { "x-subset": "v1" }, subset: "v1" }), 4);
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
    const connections = async (host: string) => {
      let found = 0;
      const look = async () => {
        found = await stat(host, "upstream_cx_http2_total");
      };
      assert.equal(await flood(host, 6, { look }), 0);
      return found;
    };
    assert.equal(await connections("few-streams"), 3);
    assert.equal(await connections("many-streams"), 1);
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

  await t.test("connectionPool.tcp.connectTimeout: who does not answer the call is given up", async () => {
    assert.equal((await ask("silent")).status, 503);
    assert.equal(await stat("silent", "upstream_cx_connect_timeout"), 1);
  });
});

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { bootstrapInput } from "../../test/support/bootstrap-input.ts";
import { envoyMissing, type RunningEnvoy, startEnvoy } from "../../test/support/envoy.ts";
import { freePort } from "../../test/support/free-port.ts";
import type { AppMetrics } from "../injection/pod-contract.ts";
import { buildBootstrap } from "./bootstrap.ts";

/** The port for Prometheus, of the real Envoy in front of an app of the test's own. */

const skip = envoyMissing();
const PROXY = /^envoy_server_live\{\} 1$/m;

test("one answer holds the proxy's metrics and the app's", { skip }, async (t) => {
  const seen: IncomingMessage[] = [];
  const { scrape } = await startPair(t, (request, response) => {
    seen.push(request);
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end("# TYPE orders counter\norders 7");
  });
  const { status, type, text } = await scrape("?shard=2", {
    accept: "application/openmetrics-text",
    authorization: "Bearer x",
    cookie: "not for the app",
  });
  assert.deepEqual([status, type], [200, "text/plain; version=0.0.4"]);
  assert.match(text, PROXY);
  assert.match(text, /^orders 7\n# TYPE trysail_app_scrape_success gauge\ntrysail_app_scrape_success 1$/m);
  const { url, headers } = seen[0] ?? assert.fail("the app was not asked");
  assert.equal(url, "/metrics?all=1&shard=2");
  assert.equal(headers.accept, "text/plain;version=0.0.4");
  assert.equal(headers.authorization, "Bearer x");
  assert.equal(headers.cookie, undefined);
});

const sick: readonly [title: string, app: RequestListener, says: RegExp][] = [
  ["answers with an error", (_, response) => response.writeHead(500).end("orders 7"), /it answers 500/],
  ["hangs up", (request) => request.socket.destroy(), /it answers 503/],
  ["hangs", () => {}, /it answers 504/],
  [
    "speaks OpenMetrics alone",
    (_, response) => response.writeHead(200, { "content-type": "application/openmetrics-text" }).end("orders 7\n# EOF"),
    /not text\/plain/,
  ],
  [
    "compresses unasked",
    (_, response) => response.writeHead(200, { "content-type": "text/plain", "content-encoding": "gzip" }).end("x"),
    /compressed, unasked/,
  ],
  [
    "never comes to an end",
    (_, response) => {
      const more = () => {
        while (response.write(`${"orders 7\n".repeat(10_000)}`));
      };
      response.writeHead(200, { "content-type": "text/plain" }).on("drain", more);
      more();
    },
    /it answers 5\d\d/,
  ],
];
for (const [title, app, says] of sick) {
  test(`an app that ${title} costs the proxy's metrics nothing`, { skip }, async (t) => {
    const { scrape } = await startPair(t, app);
    const { status, text } = await scrape("", { "x-prometheus-scrape-timeout-seconds": "2" });
    assert.equal(status, 200);
    assert.match(text, PROXY);
    assert.match(text, says);
    assert.doesNotMatch(text, /^orders/m);
    assert.match(text, /^trysail_app_scrape_success 0$/m);
  });
}

test("an app that does not listen costs the proxy's metrics nothing", { skip }, async (t) => {
  const { scrape, app } = await startPair(t, () => {});
  app.close();
  const { status, text } = await scrape();
  assert.equal(status, 200);
  assert.match(text, /The app's own metrics are missing: it answers 503\./);
  assert.match(text, PROXY);
});

test("only GET of the one path is answered", { skip }, async (t) => {
  const { base } = await startPair(t, (_, response) => response.end("orders 7\n"));
  const status = async (path: string, method = "GET") => (await fetch(`${base}${path}`, { method })).status;
  assert.deepEqual(
    [await status("/stats/prometheus"), await status("/stats"), await status("/metrics?all=1")],
    [200, 404, 404],
  );
  assert.equal(await status("/stats/prometheus", "POST"), 404);
});

test("an app's path is no program", { skip }, async (t) => {
  const seen: (string | undefined)[] = [];
  const app: RequestListener = ({ url }, response) => {
    seen.push(url);
    response.end("orders 7\n");
  };
  const path = `/"..os.exit(1).."?]]'\\{%`;
  const { scrape } = await startPair(t, app, { path });
  assert.match((await scrape()).text, /^orders 7$/m);
  assert.deepEqual(seen, [path]);
});

for (const [compressed, proxyConfig] of [
  [true, {}],
  [false, { statsCompression: false }],
] as const) {
  test(`${JSON.stringify(proxyConfig)}: metrics are ${compressed ? "" : "not "}compressed`, { skip }, async (t) => {
    const { base, envoy } = await startPair(t, (_, response) => response.end("orders 7\n"), {}, proxyConfig);
    const own = `http://127.0.0.1:${await envoy.listenerPort("metrics")}`;
    for (const url of [base, own]) {
      const { headers } = await fetch(`${url}/stats/prometheus`, { headers: { "accept-encoding": "gzip" } });
      assert.equal(headers.get("content-encoding"), compressed ? "gzip" : null);
    }
  });
}

async function startPair(
  t: TestContext,
  listener: RequestListener,
  metrics: Partial<AppMetrics> = {},
  proxyConfig: { statsCompression?: boolean } = {},
) {
  const app = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => app.once("listening", resolve));
  t.after(() => {
    app.closeAllConnections();
    app.close();
  });
  const { port }: AddressInfo = addressOf(app.address());
  const bootstrap = buildBootstrap(
    bootstrapInput({
      interceptionMode: "NONE",
      proxyConfig,
      appMetrics: { port, path: "/metrics?all=1", scheme: "http", ...metrics },
      // The clusters name the port of the administration, so it cannot be chosen by the system.
      ports: { admin: await freePort(), status: 0, metrics: 0, mergedMetrics: 0 },
    }),
  );
  const { dynamicResources: _, ...alone } = bootstrap;
  const envoy: RunningEnvoy = await startEnvoy(t, alone);
  const base = `http://127.0.0.1:${await envoy.listenerPort("merged-metrics")}`;
  const scrape = async (query = "", headers: Record<string, string> = {}) => {
    const response = await fetch(`${base}/stats/prometheus${query}`, { headers });
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
  };
  return { envoy, app, base, scrape };
}

function addressOf(address: string | AddressInfo | null): AddressInfo {
  assert.ok(typeof address === "object" && address !== null);
  return address;
}

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get, type HttpAnswer, type HttpCall } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { type SeenRequest, startUpstream } from "../support/upstream.ts";

/** What a VirtualService's routes do to requests besides choosing where they go, asked of a real Envoy. */

const to = (subset: string) => ({ destination: { host: "web", subset } });
const at = (prefix: string) => [{ uri: { prefix } }];
const always = { percentage: { value: 100 } };

/** HTTP routes by host, `HOST.test`. */
const routes: Record<string, object[]> = {
  direct: [
    {
      match: at("/text"),
      directResponse: { status: 418, body: { string: "two\nlines" } },
      headers: { response: { set: { "x-from": "sidecar" } } },
    },
    { match: at("/bytes"), directResponse: { status: 200, body: { bytes: Buffer.from("raw").toString("base64") } } },
    { directResponse: { status: 503 } },
  ],
  abort: [
    { match: at("/http"), route: [to("v1")], fault: { abort: { httpStatus: 555, ...always } } },
    { match: at("/grpc"), route: [to("v1")], fault: { abort: { grpcStatus: "UNAVAILABLE", ...always } } },
    { match: at("/third"), route: [to("v1")], fault: { abort: { httpStatus: 500, percentage: { value: 33.3 } } } },
    { match: at("/unsaid"), route: [to("v1")], fault: { abort: { httpStatus: 500 } } },
  ],
  delay: [
    { match: at("/all"), route: [to("v1")], fault: { delay: { fixedDelay: "0.4s", ...always } } },
    { match: at("/percent"), route: [to("v1")], fault: { delay: { fixedDelay: "0.4s", percent: 100 } } },
    { match: at("/none"), route: [to("v1")], fault: { delay: { fixedDelay: "60s", percentage: { value: 0 } } } },
    {
      match: at("/both"),
      route: [to("v1")],
      fault: { delay: { fixedDelay: "0.4s", ...always }, abort: { httpStatus: 500, ...always } },
    },
  ],
  mirror: [
    { match: at("/one"), route: [to("v1")], mirror: { host: "web", subset: "v2" } },
    { match: at("/half"), route: [to("v1")], mirror: { host: "web", subset: "v2" }, mirrorPercentage: { value: 50 } },
    { match: at("/older"), route: [to("v1")], mirror: { host: "web", subset: "v2" }, mirrorPercent: 0 },
    { match: at("/many"), route: [to("v1")], mirrors: [to("v2"), { ...to("v1"), percentage: { value: 100 } }] },
  ],
  cors: [
    {
      match: at("/open"),
      route: [to("v1")],
      corsPolicy: {
        allowOrigins: [{ exact: "https://a.test" }, { regex: "https://.*\\.b\\.test" }, { prefix: "http://c." }],
        allowMethods: ["GET", "PUT"],
        allowHeaders: ["x-user"],
        exposeHeaders: ["x-upstream"],
        maxAge: "24h",
        allowCredentials: true,
        unmatchedPreflights: "IGNORE",
      },
    },
    { match: at("/older"), route: [to("v1")], corsPolicy: { allowOrigin: ["*"], unmatchedPreflights: "FORWARD" } },
    { route: [to("v1")] },
  ],
  redirect: [
    { match: at("/request"), redirect: { authority: "b.test", derivePort: "FROM_REQUEST_PORT" } },
    { match: at("/default"), redirect: { authority: "b.test", derivePort: "FROM_PROTOCOL_DEFAULT" } },
    { match: at("/secure"), redirect: { authority: "b.test", scheme: "https", derivePort: "FROM_REQUEST_PORT" } },
  ],
  rewrite: [
    {
      match: at("/service/"),
      rewrite: { uriRegexRewrite: { match: "^/service/([^/]+)(/.*)$", rewrite: "\\2/of/\\1" } },
      route: [to("v1")],
    },
    { rewrite: { uriRegexRewrite: { match: "gone" }, authority: "other.test" }, route: [to("v1")] },
  ],
  statistics: [{ match: [{ statPrefix: "counted" }], route: [to("v1")] }],
  retries: [
    {
      match: at("/status/503/1/same"),
      route: [to("v1")],
      retries: { attempts: 1, retryIgnorePreviousHosts: false, retryOn: "503" },
    },
    { match: at("/status/503/2/slow"), route: [to("v1")], retries: { attempts: 2, backoff: "1s", retryOn: "503" } },
    {
      match: at("/status/503/2/far"),
      route: [to("v1")],
      retries: { attempts: 2, retryRemoteLocalities: true, retryOn: "5xx" },
    },
    // Each of the two hosts fails at its first request, and only the other one is asked next.
    {
      match: at("/status/503/1/other"),
      route: [{ destination: { host: "web" } }],
      retries: { attempts: 2, retryOn: "503" },
    },
    { match: at("/status/503/1/kept"), route: [to("hashed")], retries: { attempts: 2, retryOn: "503" } },
    {
      match: at("/status/503/1/left"),
      route: [to("hashed")],
      retries: { attempts: 2, retryIgnorePreviousHosts: true, retryOn: "503" },
    },
  ],
};

/** A root, and what stands in for it in another namespace, where the short name `web` means another service. */
const delegation = [
  istio("VirtualService", "root", {
    hosts: ["delegate.test"],
    http: [
      { match: at("/shop"), delegate: { name: "inner", namespace: "edge" }, name: "root" },
      { match: at("/never"), delegate: { name: "inner", namespace: "edge" }, timeout: "0.3s" },
      { match: at("/hidden"), delegate: { name: "private", namespace: "edge" } },
      { match: at("/missing"), delegate: { name: "nobody" } },
      { directResponse: { status: 404, body: { string: "root's own" } } },
    ],
  }),
  istio(
    "VirtualService",
    "inner",
    {
      http: [
        { match: at("/shop/a"), route: [{ destination: { host: "web" } }] },
        { match: at("/never"), route: [{ destination: { host: "web" } }] },
        { match: at("/else"), directResponse: { status: 200 } },
        { match: [{ headers: { "x-b": {} } }], directResponse: { status: 299 } },
      ],
    },
    "edge",
  ),
  istio("VirtualService", "private", { http: [{ directResponse: { status: 200 } }], exportTo: ["."] }, "edge"),
];

async function startMesh(t: TestContext) {
  const v1 = await startUpstream(t, "v1", "127.0.0.51");
  const v2 = await startUpstream(t, "v2", "127.0.0.52");
  const edge = await startUpstream(t, "edge", "127.0.0.53");
  const mesh = meshOf(
    [
      pod({ name: "caller", ip: "127.0.0.50" }),
      ...[v1, v2].map(({ ip, port }, index) => {
        const name = `web-v${index + 1}`;
        const labels = { app: "web", version: `v${index + 1}` };
        return pod({ name, ip, labels }) + endpoint("web", { name, ip }, { http: port });
      }),
      service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.0.1" }),
      pod({ name: "web-0", namespace: "edge", ip: edge.ip }),
      service({ name: "web", namespace: "edge", ports: { http: 80 }, clusterIP: "10.96.0.2" }),
      endpoint("web", { name: "web-0", namespace: "edge", ip: edge.ip }, { http: edge.port }),
      istio("DestinationRule", "web", {
        host: "web",
        subsets: [
          ...["v1", "v2"].map((version) => ({ name: version, labels: { version } })),
          { name: "hashed", trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } } },
        ],
      }),
      ...Object.entries(routes).map(([name, http]) => istio("VirtualService", name, { hosts: [`${name}.test`], http })),
      ...delegation,
    ].join(""),
  );
  const { port, envoy } = await startSidecars(t, placeholderIdentity(), { caller: { mesh, pod: "caller.shop" } });
  const ask = (host: string, path: string, call: HttpCall = {}) =>
    get(port("caller", "0.0.0.0_80"), { ...call, path, headers: { host: `${host}.test`, ...call.headers } });
  return { v1, v2, ask, envoy };
}

function seen({ status, body }: HttpAnswer): SeenRequest {
  assert.equal(status, 200, body);
  return JSON.parse(body);
}

/** How many of `requests` answers are of a kind that `percent` of them should be: within five standard deviations. */
function assertShare(count: number, requests: number, percent: number): void {
  const share = percent / 100;
  const bound = 5 * Math.sqrt(requests * share * (1 - share));
  assert.ok(Math.abs(count - requests * share) < bound, `${count} of ${requests} is not about ${percent} percent`);
}

async function timed<T>(run: () => Promise<T>): Promise<[T, number]> {
  const begin = performance.now();
  return [await run(), performance.now() - begin];
}

test("HTTP routes' policies hold at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const { v1, v2, ask, envoy } = await startMesh(t);
  const askOften = async (times: number, host: string, path: string) => {
    const answers: HttpAnswer[] = [];
    for (let i = 0; i < times; i += 20) {
      answers.push(...(await Promise.all(Array.from({ length: 20 }, () => ask(host, path)))));
    }
    return answers;
  };

  await t.test("directResponse: the sidecar answers by itself", async () => {
    const text = await ask("direct", "/text");
    assert.deepEqual([text.status, text.body, text.headers["x-from"]], [418, "two\nlines", "sidecar"]);
    assert.equal((await ask("direct", "/bytes")).body, "raw");
    assert.deepEqual([(await ask("direct", "/")).status, (await ask("direct", "/")).body], [503, ""]);
  });

  await t.test("fault.abort: with a status of HTTP or gRPC", async () => {
    assert.equal((await ask("abort", "/http")).status, 555);
    const grpc = await ask("abort", "/grpc", { headers: { "content-type": "application/grpc" } });
    assert.deepEqual([grpc.status, grpc.headers["grpc-status"]], [200, "14"]);
    assert.equal(v1.count("/http") + v1.count("/grpc"), 0);
  });

  await t.test("fault.abort: of a share of the requests, and of none where no share is said", async () => {
    const answers = await askOften(500, "abort", "/third");
    assertShare(answers.filter(({ status }) => status === 500).length, 500, 33.3);
    assert.ok((await askOften(20, "abort", "/unsaid")).every(({ status }) => status === 200));
  });

  for (const path of ["/all", "/percent"]) {
    await t.test(`fault.delay: ${path} is answered late`, async () => {
      const [answer, ms] = await timed(() => ask("delay", path));
      assert.equal(seen(answer).upstream, "v1");
      assert.ok(ms > 390, `after ${ms} ms`);
    });
  }

  await t.test("fault.delay: of no request at 0 percent, and before an abort", async () => {
    assert.equal((await ask("delay", "/none")).status, 200);
    const [answer, ms] = await timed(() => ask("delay", "/both"));
    assert.equal(answer.status, 500);
    assert.ok(ms > 390, `after ${ms} ms`);
  });

  await t.test("mirror: another destination gets a copy, and its answer goes nowhere", async () => {
    assert.equal(seen(await ask("mirror", "/one")).upstream, "v1");
    await until("the copy", () => v2.count("/one") === 1);
    assert.equal(v1.count("/one"), 1);
  });

  await t.test("mirror: a copy names the host that the request does", async () => {
    await ask("mirror", "/one/host");
    await until("the copy", () => v2.last("/one/host"));
    assert.equal(v2.last("/one/host")?.headers.host, v1.last("/one/host")?.headers.host);
  });

  await t.test("mirrorPercentage: of a share of the requests", async () => {
    await askOften(400, "mirror", "/half");
    await until("copies to end", async () => {
      const ofCopies = "cluster.outbound|80|v2|web.shop.svc.cluster.local.upstream_rq";
      // Those first, which wait for a connection.
      const [pending, active] = [
        await envoy.stat(`${ofCopies}_pending_active`),
        await envoy.stat(`${ofCopies}_active`),
      ];
      return pending + active === 0;
    });
    assertShare(v2.count("/half"), 400, 50);
    assert.equal(v1.count("/half"), 400);
  });

  await t.test("mirrors: several at once; mirrorPercent 0 is none", async () => {
    assert.equal(seen(await ask("mirror", "/many")).upstream, "v1");
    await until("the copies", () => v1.count("/many") === 2 && v2.count("/many") === 1);
    await ask("mirror", "/older");
    assert.equal(v2.count("/older"), 0);
  });

  const preflight = (origin: string, path = "/open") =>
    ask("cors", path, { method: "OPTIONS", headers: { origin, "access-control-request-method": "PUT" } });

  await t.test("corsPolicy: preflights of allowed origins are answered by the sidecar", async () => {
    for (const origin of ["https://a.test", "https://x.b.test", "http://c.test"]) {
      const { status, headers } = await preflight(origin);
      assert.equal(status, 200, origin);
      assert.deepEqual(
        Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("access-control-"))),
        {
          "access-control-allow-origin": origin,
          "access-control-allow-credentials": "true",
          "access-control-allow-methods": "GET,PUT",
          "access-control-allow-headers": "x-user",
          "access-control-expose-headers": "x-upstream",
          "access-control-max-age": "86400",
        },
      );
    }
    assert.equal(v1.count("/open"), 0);
  });

  await t.test("corsPolicy: requests of allowed origins are told so, others not", async () => {
    const allowed = await ask("cors", "/open", { headers: { origin: "https://a.test" } });
    assert.equal(allowed.headers["access-control-allow-origin"], "https://a.test");
    assert.equal(allowed.headers["access-control-expose-headers"], "x-upstream");
    const other = await ask("cors", "/open", { headers: { origin: "https://evil.test" } });
    assert.equal(other.headers["access-control-allow-origin"], undefined);
  });

  await t.test("corsPolicy: other preflights are forwarded or not, as unmatchedPreflights says", async () => {
    const forwarded = v1.count("/open");
    assert.equal((await preflight("https://evil.test")).headers["access-control-allow-origin"], undefined);
    assert.equal(v1.count("/open"), forwarded);
    assert.equal(
      (await preflight("https://any.test", "/older")).headers["access-control-allow-origin"],
      "https://any.test",
    );
    assert.equal(seen(await preflight("https://any.test", "/none")).method, "OPTIONS");
  });

  await t.test(
    "redirect.derivePort: the port of the request where the scheme does not say it, or the scheme's own",
    async () => {
      assert.equal((await ask("redirect", "/request")).headers.location, "http://b.test/request");
      assert.equal((await ask("redirect", "/secure")).headers.location, "https://b.test:80/secure");
      assert.equal((await ask("redirect", "/default")).headers.location, "http://b.test/default");
    },
  );

  await t.test("rewrite.uriRegexRewrite: groups of the path in a new one", async () => {
    assert.equal(seen(await ask("rewrite", "/service/shop/cart?q=1")).url, "/cart/of/shop?q=1");
    const { url, headers } = seen(await ask("rewrite", "/not/gone/"));
    assert.deepEqual([url, headers.host], ["/not//", "other.test"]);
  });

  await t.test("match.statPrefix: the route is counted under this name", async () => {
    await ask("statistics", "/");
    const counted = await envoy.admin("/stats?filter=route.counted.upstream_rq_total");
    assert.match(counted, /vhost\.statistics\.test:80\.route\.counted\.upstream_rq_total: 1/);
  });

  /**
   * Where Envoy's choice is one that failed, it chooses anew, five times at most: once in 64 times all are the same one
   * of two. That a quarter of 40 requests are so happens once in 10^9 times.
   */
  const assertOtherAsked = async (prefix: string) => {
    const paths = Array.from({ length: 40 }, (_, at) => `${prefix}/${at}/`);
    const answers = await Promise.all(paths.map((path, at) => ask("retries", path, { from: `127.0.1.${at + 1}` })));
    assert.ok(answers.every(({ status }) => status === 200));
    const other = paths.filter((path) => v1.count(path) > 0 && v2.count(path) > 0);
    assert.ok(other.length > 30, `${other.length} of ${paths.length}`);
  };

  await t.test("retries: an endpoint that failed is asked again only where the route lets it", async () => {
    assert.equal((await ask("retries", "/status/503/1/same")).status, 200);
    assert.equal(v1.count("/status/503/1/same"), 2);
    await assertOtherAsked("/status/503/1/other");
  });

  await t.test("retries: whom consistentHash chose is asked again, unless the route says otherwise", async () => {
    assert.equal((await ask("retries", "/status/503/1/kept")).status, 200);
    assert.deepEqual([v1.count("/status/503/1/kept"), v2.count("/status/503/1/kept")].sort(), [0, 2]);
    await assertOtherAsked("/status/503/1/left");
  });

  await t.test("retries.backoff: what is waited before a retry is by chance between none and all of it", async () => {
    const paths = [0, 1, 2, 3].map((one) => `/status/503/2/slow/${one}`);
    const took = await Promise.all(paths.map((path) => timed(() => ask("retries", path))));
    assert.ok(took.every(([{ status }]) => status === 200));
    assert.ok(paths.every((path) => v1.count(path) === 3));
    // Without it, two retries wait for at most 100 ms; with it, all four that shortly once in many millions.
    assert.ok(Math.max(...took.map(([, ms]) => ms)) > 300, took.map(([, ms]) => ms).join(" "));
    assert.equal((await ask("retries", "/status/503/2/far")).status, 200);
  });

  await t.test(
    "delegate: its routes hold under the root's conditions, with its own names and the root's settings",
    async () => {
      assert.equal(seen(await ask("delegate", "/shop/a")).upstream, "edge");
      assert.equal((await ask("delegate", "/shop/b", { headers: { "x-b": "1" } })).status, 299);
      assert.equal((await ask("delegate", "/never")).status, 504);
      assert.equal((await ask("delegate", "/else")).body, "root's own");
      assert.equal((await ask("delegate", "/shop/c")).body, "root's own");
    },
  );

  await t.test("delegate: one that is not there, or is private to another namespace, takes no request", async () => {
    assert.equal((await ask("delegate", "/hidden")).body, "root's own");
    assert.equal((await ask("delegate", "/missing")).body, "root's own");
  });
});

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { get, type HttpAnswer, type HttpCall, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { type SeenRequest, startUpstream, type Upstream } from "../support/upstream.ts";

/** What VirtualServices ask for, asked of a real Envoy with what the translator makes of them. */

const to = (subset?: string) => ({ destination: { host: "web", port: { number: 80 }, ...(subset && { subset }) } });

/** A route that only requests take which fit; the others go to v2. */
const matching = (match: object) => [{ match: [match], route: [to("v1")] }, { route: [to("v2")] }];

/** Conditions, requests that fit them and requests that do not. */
const matches: Record<string, { match: object; fit: HttpCall[]; differ: HttpCall[] }> = {
  "uri-exact": {
    match: { uri: { exact: "/a" } },
    fit: [{ path: "/a" }, { path: "/a?q=1" }],
    differ: [{ path: "/a/" }, { path: "/ab" }, { path: "/A" }, { path: "/" }],
  },
  "uri-prefix": {
    match: { uri: { prefix: "/a" } },
    fit: [{ path: "/a" }, { path: "/ab" }, { path: "/a/b" }],
    differ: [{ path: "/b/a" }, { path: "/" }, { path: "/A" }],
  },
  "uri-regex": {
    match: { uri: { regex: "/v[12]/.*" } },
    fit: [{ path: "/v1/" }, { path: "/v2/x?y=z" }],
    differ: [{ path: "/v3/" }, { path: "/v1" }, { path: "/x/v1/" }],
  },
  "uri-any-case": {
    match: { uri: { prefix: "/Shop" }, ignoreUriCase: true },
    fit: [{ path: "/shop" }, { path: "/SHOP/1" }],
    differ: [{ path: "/sho" }],
  },
  "header-exact": {
    match: { headers: { "X-User": { exact: "jo" } } },
    fit: [{ headers: { "x-user": "jo" } }],
    differ: [{}, { headers: { "x-user": "joe" } }, { headers: { "x-user": "" } }],
  },
  "header-prefix": {
    match: { headers: { "x-user": { prefix: "jo" } } },
    fit: [{ headers: { "x-user": "jo" } }, { headers: { "x-user": "joe" } }],
    differ: [{}, { headers: { "x-user": "moe" } }],
  },
  "header-regex": {
    match: { headers: { "x-user": { regex: "j.e" } } },
    fit: [{ headers: { "x-user": "joe" } }],
    differ: [{}, { headers: { "x-user": "joey" } }],
  },
  "header-present": {
    match: { headers: { "x-user": {} } },
    fit: [{ headers: { "x-user": "anyone" } }],
    differ: [{}],
  },
  "header-empty-prefix": {
    match: { headers: { "x-user": { prefix: "" } } },
    fit: [{ headers: { "x-user": "anyone" } }],
    differ: [{}],
  },
  "headers-all": {
    match: { headers: { "x-a": { exact: "1" }, "x-b": { exact: "2" } } },
    fit: [{ headers: { "x-a": "1", "x-b": "2" } }],
    differ: [{ headers: { "x-a": "1" } }, { headers: { "x-b": "2" } }],
  },
  "without-header": {
    match: { withoutHeaders: { "x-user": {} } },
    fit: [{}],
    differ: [{ headers: { "x-user": "jo" } }],
  },
  "without-value": {
    match: { withoutHeaders: { "x-user": { exact: "jo" } } },
    fit: [{}, { headers: { "x-user": "joe" } }],
    differ: [{ headers: { "x-user": "jo" } }],
  },
  "query-exact": {
    match: { queryParams: { q: { exact: "1" } } },
    fit: [{ path: "/?q=1" }, { path: "/x?a=b&q=1" }],
    differ: [{ path: "/" }, { path: "/?q=2" }, { path: "/?qq=1" }],
  },
  "query-prefix": {
    match: { queryParams: { q: { prefix: "a" } } },
    fit: [{ path: "/?q=ab" }],
    differ: [{ path: "/?q=b" }, { path: "/" }],
  },
  "query-regex": {
    match: { queryParams: { q: { regex: "[0-9]+" } } },
    fit: [{ path: "/?q=12" }],
    differ: [{ path: "/?q=12a" }, { path: "/?q=" }],
  },
  "query-present": { match: { queryParams: { q: {} } }, fit: [{ path: "/?q=" }], differ: [{ path: "/?r=1" }] },
  "method-exact": {
    match: { method: { exact: "PUT" } },
    fit: [{ method: "PUT" }],
    differ: [{ method: "POST" }, {}],
  },
  "pseudo-header": {
    match: { headers: { ":method": { exact: "PUT" } } },
    fit: [{ method: "PUT" }],
    differ: [{ method: "POST" }],
  },
  "method-and-header": {
    match: { method: { exact: "PUT" }, headers: { "x-a": { exact: "1" } } },
    fit: [{ method: "PUT", headers: { "x-a": "1" } }],
    differ: [{ method: "PUT" }, { headers: { "x-a": "1" } }],
  },
  scheme: { match: { scheme: { exact: "http" } }, fit: [{}], differ: [] },
  "scheme-other": { match: { scheme: { exact: "https" } }, fit: [], differ: [{}] },
  "this-port": { match: { port: 80 }, fit: [{}], differ: [] },
  "other-port": { match: { port: 81 }, fit: [], differ: [{}] },
  "own-labels": { match: { sourceLabels: { tier: "gold" } }, fit: [{}], differ: [] },
  "other-labels": { match: { sourceLabels: { tier: "tin" } }, fit: [], differ: [{}] },
  "own-namespace": { match: { sourceNamespace: "shop" }, fit: [{}], differ: [] },
  "other-namespace": { match: { sourceNamespace: "else" }, fit: [], differ: [{}] },
  "no-gateway": { match: { gateways: ["mesh"] }, fit: [{}], differ: [] },
  "other-gateway": { match: { gateways: ["edge"] }, fit: [], differ: [{}] },
};

/** HTTP routes by host, `HOST.test`. */
const routes: Record<string, object[]> = {
  ...Object.fromEntries(Object.entries(matches).map(([name, { match }]) => [name, matching(match)])),
  either: [
    { match: [{ uri: { exact: "/a" } }, { uri: { exact: "/b" } }], route: [to("v1")] },
    { match: [{ uri: { prefix: "/" } }], route: [to("v2")] },
  ],
  authority: [{ match: [{ authority: { exact: "authority.test" } }], route: [to("v1")] }],
  split: [
    {
      route: [
        { ...to("v1"), weight: 90, headers: { response: { set: { "x-share": "big" } } } },
        { ...to("v2"), weight: 10, headers: { request: { set: { "x-share": "small" } } } },
      ],
    },
  ],
  "all-or-nothing": [
    {
      route: [
        { ...to("v1"), weight: 0 },
        { ...to("v2"), weight: 1 },
      ],
    },
  ],
  timeout: [{ route: [to("v1")], timeout: "0.2s", retries: { attempts: 0 } }],
  "retries-default": [{ route: [to("v1")] }],
  "retries-none": [{ route: [to("v1")], retries: { attempts: 0 } }],
  "retries-unsaid": [{ route: [to("v1")], retries: { backoff: "1s" } }],
  "retries-3": [{ route: [to("v1")], retries: { attempts: 3, retryOn: "5xx" } }],
  "retries-code": [{ route: [to("v1")], retries: { attempts: 1, retryOn: "418" } }],
  "per-try-timeout": [
    { route: [to("v1")], timeout: "3s", retries: { attempts: 2, perTryTimeout: "0.1s", retryOn: "5xx" } },
  ],
  headers: [
    {
      route: [to("v1")],
      headers: {
        request: {
          set: { "x-set": "new", "x-who": "%ROUTE_NAME% 100%%" },
          add: { "x-add": "more" },
          remove: ["x-remove"],
        },
        response: { set: { "x-upstream": "hidden" }, add: { "x-extra": "1" }, remove: ["content-type"] },
      },
      name: "named",
      match: [{ name: "all", uri: { prefix: "/" } }],
    },
  ],
  "headers-host": [
    { route: [to("v1")], headers: { request: { set: { Host: "other.test" }, remove: ["host", "x-gone"] } } },
  ],
  "headers-host-added": [
    {
      route: [{ ...to("v1"), headers: { request: { set: { host: "destination.test" } } } }],
      headers: { request: { add: { Host: "added.test" } } },
    },
  ],
  "headers-host-split": [
    { route: [{ ...to("v1"), weight: 1, headers: { request: { set: { ":authority": "split.test" } } } }, to("v2")] },
  ],
  redirect: [
    {
      match: [{ uri: { prefix: "/full" } }],
      redirect: { uri: "/new", authority: "b.test", scheme: "https", redirectCode: 307 },
    },
    { match: [{ uri: { prefix: "/port" } }], redirect: { port: 8443 } },
    { match: [{ uri: { prefix: "/part/" } }], redirect: { authority: "b.test", prefixRewrite: "/" } },
    { redirect: { authority: "c.test" } },
  ],
  rewrite: [
    { match: [{ uri: { prefix: "/old/" } }], rewrite: { uri: "/new/" }, route: [to("v1")] },
    { match: [{ uri: { exact: "/exact" } }], rewrite: { uri: "/other" }, route: [to("v1")] },
    { match: [{ uri: { regex: "/re|/re/x" } }], rewrite: { uri: "/whole" }, route: [to("v1")] },
    { rewrite: { authority: "rewritten.test" }, route: [to("v1")] },
  ],
  "no-subset": [{ route: [to("v9")] }],
  "MiXed.Case": [{ route: [to("v1")] }],
  "*.wild": [{ route: [to("v1")] }],
};

const caller = pod({ name: "caller", ip: "127.0.0.20", labels: { app: "caller", tier: "gold" } });

function manifests(upstreams: readonly [Upstream, Upstream]): string {
  const versions = upstreams.map(({ ip, port }, index) => {
    const name = `web-v${index + 1}`;
    const labels = { app: "web", version: `v${index + 1}` };
    return pod({ name, ip, labels }) + endpoint("web", { name, ip }, { http: port });
  });
  return [
    caller,
    ...versions,
    service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.0.1" }),
    istio("DestinationRule", "web", {
      host: "web",
      subsets: ["v1", "v2"].map((version) => ({ name: version, labels: { version } })),
    }),
    ...Object.entries(routes).map(([name, http], index) =>
      istio("VirtualService", `vs-${index}`, { hosts: [`${name}.test`], http }),
    ),
    // One whose only route is for another port leaves this one as it was.
    service({ name: "other", ports: { http: 80, "http-b": 81 }, clusterIP: "10.96.0.2" }),
    endpoint("other", { name: "web-v2", ip: upstreams[1].ip }, { http: upstreams[1].port }),
    istio("VirtualService", "elsewhere", {
      hosts: ["other"],
      http: [{ match: [{ port: 81 }], redirect: { uri: "/moved" } }],
    }),
  ].join("");
}

async function startMesh(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "caller" });
  const upstreams = [await startUpstream(t, "v1", "127.0.0.21"), await startUpstream(t, "v2", "127.0.0.22")] as const;
  const yaml = manifests(upstreams);
  const { port } = await startSidecars(t, identity, {
    open: { mesh: meshOf(yaml), pod: "caller.shop" },
    strict: {
      mesh: meshOf(yaml + meshConfig("outboundTrafficPolicy: { mode: REGISTRY_ONLY }")),
      pod: "caller.shop",
    },
  });
  const ask = (host: string, call: HttpCall = {}, sidecar = "open") =>
    get(port(sidecar, "0.0.0.0_80"), { ...call, headers: { host, ...call.headers } });
  return { upstreams, ask };
}

function seen({ status, body }: HttpAnswer): SeenRequest {
  assert.equal(status, 200, body);
  return JSON.parse(body);
}

test("VirtualServices hold at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const { upstreams, ask } = await startMesh(t);
  const [v1, v2] = upstreams;
  const reaches = async (host: string, call: HttpCall) => seen(await ask(host, call)).upstream;

  for (const [name, { fit, differ }] of Object.entries(matches)) {
    await t.test(`match: ${name}`, async () => {
      for (const call of fit) assert.equal(await reaches(`${name}.test`, call), "v1", JSON.stringify(call));
      for (const call of differ) assert.equal(await reaches(`${name}.test`, call), "v2", JSON.stringify(call));
    });
  }

  await t.test("one of several matches is enough, and the first route that fits is taken", async () => {
    assert.equal(await reaches("either.test", { path: "/a" }), "v1");
    assert.equal(await reaches("either.test", { path: "/b" }), "v1");
    assert.equal(await reaches("either.test", { path: "/c" }), "v2");
  });

  await t.test("a request that fits no route is answered 404", async () => {
    assert.equal((await ask("authority.test")).status, 200);
    assert.equal((await ask("authority.test:80")).status, 404);
  });

  await t.test("hosts are found in any case, with a port, by every name of the service, and by wildcard", async () => {
    assert.equal(await reaches("mixed.case.test", {}), "v1");
    assert.equal(await reaches("MIXED.case.test:80", {}), "v1");
    const fully = "web.shop.svc.cluster.local";
    for (const host of ["web", "web.shop", "web.shop.svc", fully, `${fully}.`, `${fully}.:80`, "10.96.0.1", "web:80"]) {
      assert.match(await reaches(host, {}), /^v[12]$/, host);
    }
    assert.equal(await reaches("a.b.wild.test", {}), "v1");
    assert.equal((await ask("wild.test", {}, "strict")).status, 502, "a wildcard stands for something");
  });

  await t.test("a VirtualService without a route for the port leaves the service's own", async () => {
    assert.equal(await reaches("other", {}), "v2");
  });

  await t.test("weights are kept within five standard deviations", async () => {
    const requests = 500;
    const answers: HttpAnswer[] = [];
    for (let i = 0; i < requests; i += 20) {
      answers.push(...(await Promise.all(Array.from({ length: 20 }, () => ask("split.test")))));
    }
    const small = answers.map(seen).filter(({ upstream }) => upstream === "v2");
    const bound = 5 * Math.sqrt(requests * 0.1 * 0.9);
    assert.ok(Math.abs(small.length - requests * 0.1) < bound, `${small.length} of ${requests}`);
    assert.ok(small.every(({ headers }) => headers["x-share"] === "small"));
    assert.equal(answers.filter(({ headers }) => headers["x-share"] === "big").length, requests - small.length);
  });

  await t.test("a destination of weight 0 gets nothing", async () => {
    for (let i = 0; i < 20; i++) assert.equal(await reaches("all-or-nothing.test", {}), "v2");
  });

  await t.test("a request that outlasts the timeout is answered 504", async () => {
    const { status, body } = await ask("timeout.test", { path: "/never/timeout" });
    assert.deepEqual({ status, body }, { status: 504, body: "upstream request timeout" });
    await until("the request at the application", () => v1.count("/never/timeout") === 1);
  });

  const retries: [host: string, path: string, status: number, attempts: number][] = [
    ["retries-default", "/status/503/2/default", 503, 1],
    ["retries-default", "/status/500/9/default", 500, 1],
    ["retries-none", "/status/503/9/none", 503, 1],
    ["retries-unsaid", "/status/503/9/unsaid", 503, 1],
    ["retries-3", "/status/500/9/three", 500, 4],
    ["retries-3", "/status/500/3/three", 200, 4],
    ["retries-code", "/status/418/9/code", 418, 2],
    ["retries-code", "/status/503/9/code", 503, 1],
    ["per-try-timeout", "/never/per-try", 504, 3],
  ];
  for (const [host, path, status, attempts] of retries) {
    await t.test(`${host}: ${path} is answered ${status} after ${attempts} attempts`, async () => {
      assert.equal((await ask(`${host}.test`, { path })).status, status);
      // The last may be given up before the application, which is in this process, comes to hear of it.
      await until("as many attempts", () => v1.count(path) >= attempts);
      assert.equal(v1.count(path), attempts);
      assert.equal(v2.count(path), 0);
    });
  }

  await t.test("headers are set, added and removed both ways", async () => {
    const answer = await ask("headers.test", { headers: { "x-set": "old", "x-add": "some", "x-remove": "here" } });
    const { headers } = seen(answer);
    assert.equal(headers["x-set"], "new");
    assert.equal(headers["x-who"], "named.all 100%");
    assert.equal(headers["x-add"], "some, more");
    assert.equal(headers["x-remove"], undefined);
    assert.equal(answer.headers["x-upstream"], "hidden");
    assert.equal(answer.headers["x-extra"], "1");
    assert.equal(answer.headers["content-type"], undefined);
  });

  await t.test("setting the host header rewrites the authority, and it cannot be removed", async () => {
    assert.equal(seen(await ask("headers-host.test")).headers.host, "other.test");
    assert.equal(seen(await ask("headers-host-added.test")).headers.host, "added.test");
    assert.equal(seen(await ask("headers-host-split.test")).headers.host, "split.test");
  });

  const redirects: [path: string, status: number, location: string][] = [
    ["/full/x?q=1", 307, "https://b.test/new?q=1"],
    ["/port/x", 301, "http://redirect.test:8443/port/x"],
    ["/part/x?q=1", 301, "http://b.test/x?q=1"],
    ["/x?q=1", 301, "http://c.test/x?q=1"],
  ];
  for (const [path, status, location] of redirects) {
    await t.test(`redirect: ${path} is sent to ${location}`, async () => {
      const answer = await ask("redirect.test", { path });
      assert.deepEqual([answer.status, answer.headers.location], [status, location]);
    });
  }

  const rewrites: [path: string, url: string, host: string][] = [
    ["/old/x?q=1", "/new/x?q=1", "rewrite.test"],
    ["/exact?q=1", "/other?q=1", "rewrite.test"],
    ["/re/x?q=1", "/whole?q=1", "rewrite.test"],
    ["/else", "/else", "rewritten.test"],
  ];
  for (const [path, url, host] of rewrites) {
    await t.test(`rewrite: ${path} arrives as ${url} at ${host}`, async () => {
      const request = seen(await ask("rewrite.test", { path }));
      assert.deepEqual([request.url, request.headers.host], [url, host]);
    });
  }

  await t.test("a subset that no rule has is answered 503", async () => {
    assert.equal((await ask("no-subset.test")).status, 503);
  });

  await t.test(
    "hosts that the mesh does not know are refused with 502 where only the registry is allowed",
    async () => {
      assert.equal((await ask("unknown.test", {}, "strict")).status, 502);
      assert.equal((await ask("split.test", {}, "strict")).status, 200);
      assert.notEqual((await ask("unknown.test")).status, 502);
    },
  );
});

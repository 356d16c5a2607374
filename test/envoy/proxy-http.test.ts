import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type TestContext, test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { buildBootstrap } from "../../src/init/bootstrap.ts";
import { PROXY_PORT } from "../../src/injection/pod-contract.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { bootstrapInput } from "../support/bootstrap-input.ts";
import { callHttp, get, type HttpCall, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** What a proxy's own ProxyConfig changes about HTTP, at a real Envoy: one proxy with it beside one without. */

const skip = envoyMissing();

interface Span {
  readonly name: string;
  readonly kind: string;
  readonly localEndpoint: { readonly serviceName: string };
  readonly tags: Readonly<Record<string, string>>;
}

test("requests are traced to Zipkin as the ProxyConfig says, with its tags", { skip }, async (t) => {
  const spans: Span[] = [];
  const collector = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      assert.equal(request.url, "/api/v2/spans");
      spans.push(...JSON.parse(text));
      response.writeHead(202).end();
    });
  });
  const zipkin = { address: `127.0.0.1:${await listenOn(t, collector, "127.0.0.1")}` };
  const { outbound, inbound } = await startPair(t, {
    tracing: {
      zipkin,
      sampling: 100,
      maxPathTagLength: 12,
      customTags: {
        cluster: { literal: { value: "east" } },
        user: { header: { name: "x-user", defaultValue: "nobody" } },
        home: { environment: { name: "NO_SUCH_VARIABLE", defaultValue: "none" } },
        status: { formatter: { value: "%RESPONSE_CODE%" } },
        bad: { formatter: { value: "%NO_SUCH_COMMAND%" } },
      },
    },
  });
  for (let i = 0; i < 5; i++) await outbound({ path: "/a/long/path?x=1", headers: { "x-user": "jo" } });
  const [span] = await until("the spans", () => spans.length >= 5 && spans);
  const { cluster, user, home, status, bad, "http.url": url } = span?.tags ?? {};
  assert.deepEqual([cluster, user, home, status, bad], ["east", "jo", "none", "200", undefined]);
  assert.ok(url?.endsWith("/a/long/path".slice(0, 12)), url);
  assert.equal(span?.kind, "CLIENT");

  spans.length = 0;
  for (let i = 0; i < 5; i++) await inbound();
  await until("the callee's spans", () => spans.some(({ kind }) => kind === "SERVER"));
});

test("nothing is traced where sampling is 0, but what a caller traces is traced on", { skip }, async (t) => {
  const spans: unknown[] = [];
  const collector = createServer((request, response) => {
    request.resume().on("end", () => response.writeHead(202).end());
    spans.push(request.url);
  });
  const zipkin = { address: `127.0.0.1:${await listenOn(t, collector, "127.0.0.1")}` };
  const { outbound } = await startPair(t, { tracing: { zipkin, sampling: 0 } });
  for (let i = 0; i < 20; i++) await outbound({});
  assert.deepEqual(spans, []);
  const traced = { "x-b3-traceid": "463ac35c9f6413ad", "x-b3-spanid": "a2fb4a1d1a96d312", "x-b3-sampled": "1" };
  for (let i = 0; i < 5; i++) await outbound({ headers: traced });
  await until("the spans of the caller's trace", () => spans.length > 0);
});

test("proxyHeaders take headers away and put others in", { skip }, async (t) => {
  const usual = await startPair(t, {});
  const changed = await startPair(t, {
    proxyHeaders: {
      server: { value: "shop" },
      requestId: { disabled: true },
      attemptCount: { disabled: true },
      envoyDebugHeaders: { disabled: true },
      xForwardedPort: { enabled: true },
      forwardedClientCert: "SANITIZE",
    },
  });
  const [before, after] = [await usual.outbound({}), await changed.outbound({})];
  const present = (headers: object, names: readonly string[]) => names.filter((name) => name in headers);
  const added = ["x-request-id", "x-envoy-attempt-count", "x-forwarded-port", "x-envoy-expected-rq-timeout-ms"];
  assert.deepEqual(present(before.seen, added), ["x-request-id", "x-envoy-attempt-count"]);
  assert.deepEqual(present(after.seen, added), ["x-forwarded-port"]);
  assert.deepEqual([before.headers.server, after.headers.server], ["envoy", "shop"]);
  assert.deepEqual(
    ["x-envoy-upstream-service-time" in before.headers, "x-envoy-upstream-service-time" in after.headers],
    [true, false],
  );

  const passed = await startPair(t, { proxyHeaders: { server: { disabled: true } } });
  assert.equal((await passed.outbound({})).headers.server, undefined);

  const certs = await Promise.all([usual.inbound(), changed.inbound()]);
  assert.deepEqual(
    certs.map((seen) => "x-forwarded-client-cert" in seen),
    [true, false],
  );
});

test("xForwardedHost tells the app which host was asked for before a route replaced it", { skip }, async (t) => {
  const rewrite = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{rewrite: {authority: inner.example}, route: [{destination: {host: web}}]}]}
`;
  const seen = async (proxyConfig: JsonObject) => {
    const { host, "x-forwarded-host": forwarded } = (
      await (await startPair(t, proxyConfig, { more: rewrite })).outbound({})
    ).seen;
    return [host, forwarded];
  };
  assert.deepEqual(await seen({}), ["inner.example", undefined]);
  assert.deepEqual(await seen({ proxyHeaders: { xForwardedHost: { enabled: true } } }), ["inner.example", "web"]);
});

test("preserveHttp1HeaderCase leaves the names of headers as they are, both ways", { skip }, async (t) => {
  const server = createServer(({ rawHeaders }, response) => {
    response.writeHead(200, ["X-Answer-ID", "1"]);
    const names = rawHeaders.filter((_, index) => index % 2 === 0);
    response.end(JSON.stringify({ headers: Object.fromEntries(names.map((name) => [name, ""])) }));
  });
  const app = { ip: "127.0.0.1", port: await listenOn(t, server, "127.0.0.1") };
  const named = async (proxyConfig: JsonObject) => {
    const { outbound, inbound } = await startPair(t, proxyConfig, { app });
    const { seen, rawHeaders } = await outbound({ headers: { "X-Request-ID-Of-Mine": "1" } });
    const all = [...Object.keys(seen), ...rawHeaders, ...Object.keys(await inbound())];
    return all.filter((name) => /^(x-request-id-of-mine|x-answer-id|host)$/i.test(name));
  };
  assert.deepEqual(await named({}), ["host", "x-request-id-of-mine", "x-answer-id", "host"]);
  // The first `host` is written so by the test's own caller.
  const kept = ["host", "X-Request-ID-Of-Mine", "X-Answer-ID", "Host"];
  const found = await named({ proxyHeaders: { preserveHttp1HeaderCase: true } });
  assert.deepEqual(found.toSorted(), kept.toSorted());
});

test("setCurrentClientCertDetails says what of the caller's certificate is told", { skip }, async (t) => {
  const { inbound } = await startPair(t, { proxyHeaders: { setCurrentClientCertDetails: { uri: true, cert: true } } });
  const header = String((await inbound())["x-forwarded-client-cert"]);
  assert.match(header, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/caller/);
  assert.match(header, /;Cert=/);
  assert.doesNotMatch(header, /Subject=/);
});

/** A caller's sidecar in front of an app, and that app's own. */
async function startPair(
  t: TestContext,
  proxyConfig: JsonObject,
  {
    more = "",
    app: own,
  }: { readonly more?: string; readonly app?: { readonly ip: string; readonly port: number } } = {},
) {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "caller" });
  const app = own ?? (await startUpstream(t, "web"));
  const mesh = meshOf(
    [
      pod({ name: "caller", ip: "127.0.0.50" }),
      pod({ name: "web-0", ip: app.ip, labels: { app: "web" } }),
      service({ name: "web", ports: { http: { port: 80, targetPort: app.port } }, clusterIP: "10.96.0.1" }),
      endpoint("web", { name: "web-0", ip: app.ip }, { http: app.port }),
      more,
    ].join(""),
  );
  const metadata = { PROXY_CONFIG: proxyConfig };
  const { port } = await startSidecars(
    t,
    identity,
    { caller: { mesh, pod: "caller.shop", metadata }, web: { mesh, pod: "web-0.shop", metadata } },
    reporting(proxyConfig),
  );
  return {
    async outbound(call: HttpCall) {
      const { status, body, headers, rawHeaders } = await get(port("caller", "0.0.0.0_80"), {
        ...call,
        headers: { host: "web", ...call.headers },
      });
      assert.equal(status, 200, body);
      const { headers: seen }: { headers: Record<string, string> } = JSON.parse(body);
      return { headers, rawHeaders, seen };
    },
    async inbound(): Promise<Record<string, string>> {
      const answer = await callHttp({ port: port("web", "virtualInbound"), destination: app.port, identity });
      assert.equal(answer?.status, 200);
      return JSON.parse(answer.body).headers;
    },
  };
}

/** The part of the bootstrap that `trysail init` makes of the same ProxyConfig. */
function reporting(proxyConfig: JsonObject): JsonObject {
  const zipkin = JSON.parse(JSON.stringify(proxyConfig)).tracing?.zipkin;
  const { tracing, staticResources } = buildBootstrap(
    bootstrapInput({ proxyConfig: zipkin === undefined ? {} : { tracing: { zipkin } }, ports: PROXY_PORT }),
  );
  if (tracing === undefined) return {};
  const { clusters = [] }: { clusters?: { name: string }[] } = JSON.parse(JSON.stringify(staticResources));
  const own = clusters.filter(({ name }) => name === "zipkin");
  return { tracing, node: { id: "test", cluster: "web.shop" }, staticResources: { clusters: own } };
}

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import type { HttpAnswer } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { gateway, gatewayIdentities, startGateway } from "../support/gateway.ts";
import { assertGrpcWebAnswer, grpcWeb, grpcWebCall, startGrpcEcho } from "../support/grpc-echo.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { until } from "../support/until.ts";
import { type SeenRequest, startUpstream, type Upstream } from "../support/upstream.ts";
import { assertWebSocketEchoes, startWebSocketEcho } from "../support/web-socket.ts";

/** What VirtualServices do to requests that come in by a gateway, as far as it is not where they go: asked of a real Envoy. */

const to = (subset?: string) => ({
  destination: { host: "web.shop.svc.cluster.local", ...(subset === undefined ? {} : { subset }) },
});
const at = (prefix: string) => [{ uri: { prefix } }];
const always = { percentage: { value: 100 } };

/** HTTP routes by host, `HOST.test`; those of a host have one VirtualService. */
const routes: Record<string, object[]> = {
  weights: [
    {
      route: [
        { ...to("v1"), weight: 80, headers: { response: { set: { "x-share": "large" } } } },
        { ...to("v2"), weight: 20 },
      ],
    },
  ],
  mirror: [{ route: [to("v1")], mirrors: [{ ...to("v2"), percentage: { value: 100 } }] }],
  retries: [
    { match: at("/status/503/2/"), route: [to("v1")], retries: { attempts: 3, retryOn: "503" } },
    { match: at("/status/500/1/"), route: [to("v1")], retries: { attempts: 3, retryOn: "503" } },
  ],
  timeout: [{ route: [to("v1")], timeout: "0.2s" }],
  fault: [
    { match: at("/abort"), route: [to("v1")], fault: { abort: { httpStatus: 555, ...always } } },
    { route: [to("v1")], fault: { delay: { fixedDelay: "0.3s", ...always } } },
  ],
  cors: [{ route: [to("v1")], corsPolicy: { allowOrigins: [{ exact: "https://a.test" }], allowMethods: ["PUT"] } }],
  redirect: [
    { match: at("/old"), redirect: { uri: "/new", authority: "b.test", redirectCode: 308 } },
    { match: at("/secure"), redirect: { scheme: "https", port: 8443 } },
  ],
  rewrite: [
    { match: at("/api/"), rewrite: { uri: "/", authority: "inner.test" }, route: [to("v1")] },
    { rewrite: { uriRegexRewrite: { match: "^/([^/]+)/(.*)$", rewrite: "/\\2/\\1" } }, route: [to("v1")] },
  ],
  headers: [
    {
      headers: { request: { set: { "x-set": "new" }, add: { "x-added": "1" }, remove: ["x-gone"] } },
      route: [{ ...to("v1"), headers: { response: { remove: ["x-upstream"], add: { "x-by": "gateway" } } } }],
    },
  ],
  direct: [{ directResponse: { status: 418, body: { string: "short and stout" } } }],
};

const delegation = [
  istio("VirtualService", "root", {
    hosts: ["delegate.test"],
    gateways: ["ingress/public"],
    http: [
      { match: at("/shop"), delegate: { name: "inner", namespace: "team" } },
      { match: at("/never"), delegate: { name: "inner", namespace: "team" }, timeout: "0.2s" },
      { directResponse: { status: 404, body: { string: "root's own" } } },
    ],
  }),
  istio(
    "VirtualService",
    "inner",
    {
      http: [
        { match: at("/shop/a"), route: [to("v1")] },
        { match: at("/never"), route: [to("v1")] },
        { match: at("/elsewhere"), directResponse: { status: 200 } },
      ],
    },
    "team",
  ),
];

async function startMesh(t: TestContext) {
  const ips = ["127.0.0.51", "127.0.0.52"];
  const [v1, v2] = await Promise.all(ips.map((ip, index) => startUpstream(t, `v${index + 1}`, ip)));
  assert.ok(v1 !== undefined && v2 !== undefined);
  const version = ({ ip, port }: Upstream, index: number) => {
    const name = `web-${index + 1}`;
    return (
      pod({ name, ip, labels: { app: "web", version: `v${index + 1}` } }) +
      endpoint("web", { name, ip }, { http: port })
    );
  };
  const alone = (name: string, ip: string, portName: string, port: number) =>
    pod({ name: `${name}-0`, ip, labels: { app: name } }) +
    service({ name, ports: { [portName]: 80 }, clusterIP: ip.replace("127.0", "10.96") }) +
    endpoint(name, { name: `${name}-0`, ip }, { [portName]: port }) +
    istio("VirtualService", name, {
      hosts: [`${name}.test`],
      gateways: ["ingress/public"],
      http: [{ route: [{ destination: { host: name } }] }],
    });
  const yaml = [
    gateway("public", [
      { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] },
      { port: { number: 81, name: "grpc-web", protocol: "GRPC-WEB" }, hosts: ["*"] },
    ]),
    service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.1.1" }),
    ...[v1, v2].map(version),
    istio("DestinationRule", "web", {
      host: "web",
      subsets: [
        { name: "v1", labels: { version: "v1" } },
        { name: "v2", labels: { version: "v2" } },
        {
          name: "narrow",
          labels: { version: "v2" },
          trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } },
        },
      ],
    }),
    ...Object.entries({ ...routes, bounded: [{ route: [to("narrow")], retries: { attempts: 0 } }] }).map(
      ([name, http]) => istio("VirtualService", name, { hosts: [`${name}.test`], gateways: ["ingress/public"], http }),
    ),
    ...delegation,
    alone("chat", "127.0.0.53", "http", await startWebSocketEcho(t, "127.0.0.53")),
    alone("cart", "127.0.0.54", "grpc", await startGrpcEcho(t, "127.0.0.54")),
  ].join("");
  return { v1, v2, ...(await startGateway(t, await gatewayIdentities(t), yaml)) };
}

function seen({ status, body }: HttpAnswer): SeenRequest {
  assert.equal(status, 200, body);
  return JSON.parse(body);
}

test("routes do at a gateway what they do at a sidecar", { skip: envoyMissing() }, async (t) => {
  const { v1, v2, ask, port } = await startMesh(t);

  await t.test("weights are kept within five standard deviations, with a destination's own headers", async () => {
    const answers: HttpAnswer[] = [];
    for (let i = 0; i < 300; i += 20) {
      answers.push(...(await Promise.all(Array.from({ length: 20 }, () => ask("weights.test")))));
    }
    const large = answers.filter(({ headers }) => headers["x-share"] === "large");
    assert.ok(Math.abs(large.length - 240) < 5 * Math.sqrt(300 * 0.8 * 0.2), `${large.length} of 300`);
    for (const answer of answers) assert.equal(seen(answer).upstream === "v1", large.includes(answer));
  });

  await t.test("mirrors get a copy, whose answer nobody waits for", async () => {
    assert.equal(seen(await ask("mirror.test", { path: "/copied" })).upstream, "v1");
    await until("the copy", () => v2.count("/copied") === 1);
    assert.equal(v1.count("/copied"), 1);
  });

  await t.test("retries are for what they name, and no other", async () => {
    assert.equal((await ask("retries.test", { path: "/status/503/2/r" })).status, 200);
    assert.equal(v1.count("/status/503/2/r"), 3);
    assert.equal((await ask("retries.test", { path: "/status/500/1/r" })).status, 500);
  });

  await t.test("a request that outlasts the timeout is answered 504", async () => {
    assert.equal((await ask("timeout.test", { path: "/never" })).status, 504);
  });

  await t.test("faults abort and delay", async () => {
    assert.equal((await ask("fault.test", { path: "/abort" })).status, 555);
    const began = performance.now();
    assert.equal((await ask("fault.test", { path: "/late" })).status, 200);
    // Envoy counts time in whole milliseconds, and from when it last looked.
    assert.ok(performance.now() - began > 280);
  });

  await t.test("preflights of allowed origins are answered by the gateway", async () => {
    const preflight = (origin: string) =>
      ask("cors.test", {
        method: "OPTIONS",
        path: "/cors",
        headers: { origin, "access-control-request-method": "PUT" },
      });
    const allowed = await preflight("https://a.test");
    assert.deepEqual(
      [allowed.status, allowed.headers["access-control-allow-origin"], allowed.headers["access-control-allow-methods"]],
      [200, "https://a.test", "PUT"],
    );
    assert.equal((await preflight("https://b.test")).headers["access-control-allow-origin"], undefined);
  });

  await t.test("redirects lead where they say", async () => {
    const moved = await ask("redirect.test", { path: "/old" });
    assert.deepEqual([moved.status, moved.headers.location], [308, "http://b.test/new"]);
    assert.equal(
      (await ask("redirect.test", { path: "/secure?q" })).headers.location,
      "https://redirect.test:8443/secure?q",
    );
  });

  await t.test("paths and hosts are rewritten", async () => {
    const { url, headers } = seen(await ask("rewrite.test", { path: "/api/items?q" }));
    assert.deepEqual([url, headers.host], ["/items?q", "inner.test"]);
    assert.equal(seen(await ask("rewrite.test", { path: "/a/b" })).url, "/b/a");
  });

  await t.test("headers are set, added and removed both ways", async () => {
    const answer = await ask("headers.test", { headers: { "x-set": "old", "x-gone": "1" } });
    const { headers } = seen(answer);
    assert.deepEqual([headers["x-set"], headers["x-added"], headers["x-gone"]], ["new", "1", undefined]);
    assert.deepEqual([answer.headers["x-by"], answer.headers["x-upstream"]], ["gateway", undefined]);
  });

  await t.test("a direct response is the gateway's own", async () => {
    const { status, body } = await ask("direct.test");
    assert.deepEqual([status, body], [418, "short and stout"]);
  });

  await t.test("a delegate's routes hold under the root's conditions, with what the root says besides", async () => {
    assert.equal(seen(await ask("delegate.test", { path: "/shop/a" })).upstream, "v1");
    assert.equal((await ask("delegate.test", { path: "/elsewhere" })).body, "root's own");
    assert.equal((await ask("delegate.test", { path: "/shop/b" })).status, 404);
    assert.equal((await ask("delegate.test", { path: "/never" })).status, 504);
  });

  await t.test("a subset's own policy holds for it alone", async () => {
    // It ends with the gateway, behind the test.
    void ask("bounded.test", { path: "/never-bounded" }).catch(() => undefined);
    await until("the one that there may be", () => v2.count("/never-bounded") === 1);
    const more = await Promise.all(Array.from({ length: 3 }, () => ask("bounded.test", { path: "/never-bounded" })));
    for (const { headers } of more) assert.equal(headers["x-envoy-overloaded"], "true");
    const wide = await Promise.all(Array.from({ length: 4 }, () => ask("timeout.test", { path: "/never" })));
    assert.deepEqual(
      wide.map(({ status }) => status),
      [504, 504, 504, 504],
    );
  });

  await t.test("a WebSocket is upgraded, and carries bytes both ways", (t) =>
    assertWebSocketEchoes(t, port("edge", "0.0.0.0_80"), "chat.test"),
  );

  await t.test("a server of protocol GRPC-WEB makes gRPC of what browsers send, and others do not", async () => {
    assertGrpcWebAnswer(await grpcWebCall(port("edge", "0.0.0.0_81"), "cart.test"));
    assert.notEqual((await grpcWebCall(port("edge", "0.0.0.0_80"), "cart.test")).status, 200);
  });

  await t.test("a gRPC call has its message back, and its status in trailers", async (t) => {
    const session = connect(`http://127.0.0.1:${port("edge", "0.0.0.0_80")}`);
    t.after(() => session.destroy());
    const headers = { ":method": "POST", ":authority": "cart.test", "content-type": "application/grpc" };
    const stream = session.request({ ...headers, ":path": grpcWeb.path });
    const trailers = once(stream, "trailers");
    stream.end(grpcWeb.body);
    assert.deepEqual(await buffer(stream), grpcWeb.body);
    const [{ "grpc-status": status }] = await trailers;
    assert.equal(status, "0");
  });
});

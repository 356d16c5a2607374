import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { callHttp, get, type HttpAnswer } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { gateway, gatewayIdentities, startGateway as startEdge } from "../support/gateway.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { startUpstream } from "../support/upstream.ts";

/** Requests at a gateway: which server takes them, and where the VirtualServices of that Gateway send them. */

const skip = envoyMissing();
const http = (hosts: string[], more: object = {}) => ({
  port: { number: 80, name: "http", protocol: "HTTP" },
  hosts,
  ...more,
});
const to = (host: string) => [{ destination: { host: `${host}.shop.svc.cluster.local` } }];
const routes = (name: string, hosts: string[], gateways: string[], routes: object[], namespace = "shop") =>
  istio("VirtualService", name, { hosts, gateways, http: routes }, namespace);

/** Requests to a gateway in front of the upstreams `a` and `b`. */
async function startGateway(t: TestContext, config: string, metadata = {}) {
  const backends = await Promise.all(
    ["a", "b"].map(async (name, index) => {
      const ip = `127.0.0.${51 + index}`;
      const { port } = await startUpstream(t, name, ip);
      const one = { name: `${name}-0`, ip, labels: { app: name } };
      return (
        pod(one) +
        service({ name, ports: { http: 80 }, clusterIP: `10.96.0.${index + 1}` }) +
        endpoint(name, one, { http: port })
      );
    }),
  );
  const edge = await startEdge(t, await gatewayIdentities(t), [...backends, config].join(""), { metadata });
  return {
    port: (listener: string) => edge.port("edge", listener),
    ask: (host: string, path = "/", headers = {}, listener = "0.0.0.0_80") =>
      edge.ask(host, { path, headers }, listener),
  };
}

function upstreamOf({ status, body }: HttpAnswer): string | number {
  return status === 200 ? JSON.parse(body).upstream : status;
}

test("VirtualServices that share a host are taken together, and none hides another's routes", { skip }, async (t) => {
  const { ask } = await startGateway(
    t,
    [
      gateway("public", [http(["shop.example.com"])]),
      routes("first", ["shop.example.com"], ["ingress/public"], [{ route: to("a") }]),
      routes(
        "second",
        ["shop.example.com"],
        ["ingress/public"],
        [{ match: [{ uri: { prefix: "/b" } }], route: to("b") }],
      ),
    ].join(""),
  );
  assert.equal(upstreamOf(await ask("shop.example.com", "/b/1")), "b");
  assert.equal(upstreamOf(await ask("shop.example.com", "/")), "a");
  assert.equal(upstreamOf(await ask("shop.example.com:8080", "/")), "a");
  assert.equal(upstreamOf(await ask("other.example.com")), 404);
});

test("a server takes the hosts that it names, of the namespaces that it names", { skip }, async (t) => {
  const { ask } = await startGateway(
    t,
    [
      gateway("public", [http(["shop/*.example.com", "./own.test"])]),
      routes("narrower", ["a.example.com"], ["ingress/public"], [{ route: to("a") }]),
      routes("wider", ["*.com"], ["ingress/public"], [{ route: to("b") }]),
      routes("elsewhere", ["x.example.com"], ["ingress/public"], [{ route: to("a") }], "other"),
      routes("unnamed", ["y.test"], ["ingress/public"], [{ route: to("a") }]),
      routes("own", ["own.test"], ["./public"], [{ route: to("a") }], "ingress"),
      routes("mesh", ["own.test", "a.example.com"], ["mesh"], [{ route: to("b") }], "ingress"),
    ].join(""),
  );
  assert.equal(upstreamOf(await ask("a.example.com")), "a");
  // Of the wider host and the server's, the narrower holds; a namespace that the server does not name is not heard.
  assert.equal(upstreamOf(await ask("x.example.com")), "b");
  assert.equal(upstreamOf(await ask("z.com")), 404);
  assert.equal(upstreamOf(await ask("y.test")), 404);
  assert.equal(upstreamOf(await ask("own.test")), "a");
});

test("a match holds at the gateways and ports that it names", { skip }, async (t) => {
  const other = { port: { number: 8080, name: "other", protocol: "HTTP" }, hosts: ["*"] };
  const { ask } = await startGateway(
    t,
    [
      gateway("public", [http(["*"]), other]),
      gateway("private", [{ port: { number: 90, name: "http", protocol: "HTTP" }, hosts: ["*"] }], "shop"),
      routes(
        "all",
        ["shop.test"],
        ["ingress/public", "private"],
        [
          { match: [{ gateways: ["private"] }], route: to("b") },
          { match: [{ port: 8080 }], route: to("b") },
          { match: [{ sourceNamespace: "nobody" }], directResponse: { status: 418 } },
          { match: [{ sourceNamespace: "ingress", uri: { prefix: "/teapot" } }], directResponse: { status: 418 } },
          { route: to("a") },
        ],
      ),
    ].join(""),
  );
  assert.equal(upstreamOf(await ask("shop.test")), "a");
  assert.equal(upstreamOf(await ask("shop.test", "/teapot")), 418);
  assert.equal(upstreamOf(await ask("shop.test", "/", {}, "0.0.0.0_90")), "b");
  assert.equal(upstreamOf(await ask("shop.test", "/", {}, "0.0.0.0_8080")), "b");
});

test("an address is one however it is written, and every address none in particular", { skip }, async (t) => {
  const bound = (bind: string, host: string, number = 80) =>
    http([host], { bind, port: { number, name: `port-${host.replace(".", "-")}`, protocol: "HTTP" } });
  const { ask } = await startGateway(
    t,
    gateway("public", [
      bound("", "none.test"),
      bound("0.0.0.0", "all.test"),
      bound("::", "both.test"),
      bound("2001:db8::1", "short.test", 81),
      bound("2001:DB8:0:0::1", "long.test", 81),
    ]) + routes("all", ["*.test"], ["ingress/public"], [{ route: to("a") }]),
  );
  for (const host of ["none.test", "all.test", "both.test"]) assert.equal(upstreamOf(await ask(host)), "a");
  for (const host of ["short.test", "long.test"]) {
    assert.equal(upstreamOf(await ask(host, "/", {}, "2001:db8::1_81")), "a", host);
  }
});

test("httpsRedirect sends callers to HTTPS, whether anything is routed or not", { skip }, async (t) => {
  const { ask } = await startGateway(
    t,
    gateway("public", [
      http(["shop.test", "empty.test"], { tls: { httpsRedirect: true } }),
      http(["open.test"], { port: { number: 80, name: "open", protocol: "HTTP" } }),
    ]) + routes("shop", ["shop.test", "open.test"], ["ingress/public"], [{ route: to("a") }]),
  );
  for (const host of ["shop.test", "empty.test"]) {
    const { status, headers } = await ask(host, "/path?q");
    assert.deepEqual([status, headers.location], [301, `https://${host}/path?q`]);
  }
  assert.equal(upstreamOf(await ask("open.test")), "a");
});

test("a gateway listens on the port behind its Service's", { skip }, async (t) => {
  const ports = { http: { port: 80, targetPort: 8080 } };
  const { ask } = await startGateway(
    t,
    service({ name: "edge", namespace: "ingress", ports, selector: { istio: "ingress" }, clusterIP: "10.96.0.9" }) +
      gateway("public", [http(["*"])]) +
      routes("shop", ["shop.test"], ["ingress/public"], [{ match: [{ port: 80 }], route: to("a") }]),
  );
  assert.equal(upstreamOf(await ask("shop.test", "/", {}, "0.0.0.0_8080")), "a");
});

test("who called is told by as many proxies as are trusted, and policies of the gateway ask for it", {
  skip,
}, async (t) => {
  const rules = [{ from: [{ source: { remoteIpBlocks: ["203.0.113.0/24"] } }] }];
  const config =
    gateway("public", [http(["*"])]) +
    routes("shop", ["shop.test"], ["ingress/public"], [{ route: to("a") }]) +
    istio(
      "AuthorizationPolicy",
      "known",
      { selector: { matchLabels: { istio: "ingress" } }, action: "DENY", rules },
      "ingress",
    );
  const asked = { "x-forwarded-for": "203.0.113.7", "x-forwarded-client-cert": "By=forged" };

  const plain = await startGateway(t, config);
  const { status, body } = await plain.ask("shop.test", "/", asked);
  assert.equal(status, 200);
  assert.match(JSON.parse(body).headers["x-forwarded-for"], /^203\.0\.113\.7,[^,]+$/);
  assert.equal(JSON.parse(body).headers["x-forwarded-client-cert"], undefined);

  const behind = await startGateway(t, config, { PROXY_CONFIG: { gatewayTopology: { numTrustedProxies: 1 } } });
  assert.equal((await behind.ask("shop.test", "/", asked)).status, 403);
  assert.equal((await behind.ask("shop.test", "/", { "x-forwarded-for": "198.51.100.1" })).status, 200);
});

test("behind a balancer that speaks the PROXY protocol, callers are who it says", { skip }, async (t) => {
  const { port } = await startGateway(
    t,
    gateway("public", [http(["*"])]) + routes("shop", ["shop.test"], ["ingress/public"], [{ route: to("a") }]),
    { PROXY_CONFIG: { gatewayTopology: { proxyProtocol: {} } } },
  );
  const call = { port: port("0.0.0.0_80"), destination: 80, from: "127.0.0.77" };
  const answer = await callHttp(call, { headers: { host: "shop.test" } });
  assert.equal(JSON.parse(answer?.body ?? "{}").headers["x-forwarded-for"], "127.0.0.77");
  await assert.rejects(get(port("0.0.0.0_80"), { headers: { host: "shop.test" } }));
});

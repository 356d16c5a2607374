import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { type TestContext, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer, TLSSocket } from "node:tls";
import { type CallerIdentity, get, type HttpAnswer } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { gateway, gatewayIdentities, startGateway } from "../support/gateway.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** Where a gateway sends what comes in: every form of service and host, by requests and by connections, at a real Envoy. */

const skip = envoyMissing();
const GATEWAYS = ["ingress/public"];
const server = (number: number, protocol: string, hosts: string[] = ["*"], more: object = {}) => ({
  port: { number, name: `${protocol.toLowerCase()}-${number}`, protocol },
  hosts,
  ...more,
});
const routed = (name: string, host: string, number?: number, hosts = [`${name}.test`], gateways = GATEWAYS) =>
  istio("VirtualService", name, {
    hosts,
    gateways,
    http: [{ route: [{ destination: { host, ...(number === undefined ? {} : { port: { number } }) } }] }],
  });

function upstreamOf({ status, body }: HttpAnswer): string | number {
  return status === 200 ? JSON.parse(body).upstream : status;
}

/** A peer's sidecar, as far as TLS goes: it answers with who called, by which name. */
function startPeer(t: TestContext, { chainPem, keyPem, rootPem }: CallerIdentity, ip: string): Promise<number> {
  const peer = createServer(
    { cert: chainPem, key: keyPem, ca: rootPem, requestCert: true, ALPNProtocols: ["http/1.1", "istio"] },
    ({ socket }, response) => {
      assert.ok(socket instanceof TLSSocket);
      const caller = socket.getPeerX509Certificate()?.subjectAltName;
      response.end(JSON.stringify({ caller, name: Reflect.get(socket, "servername") }));
    },
  );
  return listenOn(t, peer, ip);
}

/** A service of `shop` with one endpoint. */
const backend = (name: string, ip: string, port: number, more: { readonly tls?: boolean; account?: string } = {}) => {
  const { tls = false, account = "default" } = more;
  return (
    pod({ name: `${name}-0`, ip, labels: { app: name }, tls, serviceAccount: account }) +
    service({ name, ports: { http: 80 }, clusterIP: ip.replace("127.0", "10.96") }) +
    endpoint(name, { name: `${name}-0`, ip }, { http: port })
  );
};

test("a gateway reaches every form of service", { skip }, async (t) => {
  const identities = await gatewayIdentities(t);
  const pods = await Promise.all([1, 2, 3].map((n) => startUpstream(t, `db-${n}`, `127.0.0.${60 + n}`)));
  const local = await startUpstream(t, "local", "127.0.0.1");
  const { chainPem: cert, keyPem: key } = identities.own;
  const named = await listenOn(
    t,
    createTlsServer({ cert, key }, (socket) => socket.on("error", () => socket.destroy()).end("named")),
    "127.0.0.1",
  );
  const entry = (name: string, spec: object) =>
    istio("ServiceEntry", name, {
      hosts: [`${name}.example.com`],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      ...spec,
    });
  const headless = (name: string) =>
    service({ name, ports: { http: 80 } }) +
    pods
      .map(({ ip, port }, index) =>
        endpoint(name, { name: `${name}-${index}`, ip, hostname: `db-${index}` }, { http: port }),
      )
      .join("") +
    routed(name, name);
  const { ask, port } = await startGateway(
    t,
    identities,
    [
      gateway("public", [server(80, "HTTP"), server(443, "TLS", ["*"], { tls: { mode: "PASSTHROUGH" } })]),
      headless("all"),
      headless("sticky"),
      istio("DestinationRule", "sticky", {
        host: "sticky",
        trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: "x-user" } } },
      }),
      service({
        name: "alias",
        ports: { http: local.port },
        spec: { type: "ExternalName", externalName: "localhost" },
      }),
      routed("alias", "alias", local.port),
      entry("dns", { resolution: "DNS", endpoints: [{ address: "localhost", ports: { http: local.port } }] }),
      routed("dns", "dns.example.com"),
      entry("around", {
        resolution: "DNS_ROUND_ROBIN",
        endpoints: [{ address: "localhost", ports: { http: local.port } }],
      }),
      routed("around", "around.example.com"),
      entry("fixed", { resolution: "STATIC", endpoints: [{ address: "127.0.0.61", ports: { http: pods[0]?.port } }] }),
      routed("fixed", "fixed.example.com"),
      // Names below localhost are this machine, without asking anybody.
      istio("ServiceEntry", "named", {
        hosts: ["*.localhost"],
        ports: [
          { number: local.port, name: "http", protocol: "HTTP" },
          { number: named, name: "tls", protocol: "TLS" },
        ],
        resolution: "DYNAMIC_DNS",
      }),
      routed("named", "*.localhost", local.port, ["*.localhost"]),
      istio("VirtualService", "named-tls", {
        hosts: ["*.localhost"],
        gateways: GATEWAYS,
        tls: [
          {
            match: [{ sniHosts: ["*.localhost"] }],
            route: [{ destination: { host: "*.localhost", port: { number: named } } }],
          },
        ],
      }),
      // Nobody has dialled anything that requests could be passed on to.
      entry("none", { resolution: "NONE" }),
      routed("none", "none.example.com"),
      backend("sealed", "127.0.0.64", await startPeer(t, await identities.of("sealed"), "127.0.0.64"), {
        tls: true,
        account: "sealed",
      }),
      routed("sealed", "sealed"),
      backend("thief", "127.0.0.65", await startPeer(t, await identities.of("thief"), "127.0.0.65"), {
        tls: true,
        account: "other",
      }),
      routed("thief", "thief"),
    ].join(""),
  );
  const meet = async (host: string, headers: Record<string, string> = {}) => {
    const met: (string | number)[] = [];
    for (let i = 0; i < 60; i++) met.push(upstreamOf(await ask(host, { headers })));
    return [...new Set(met)].sort();
  };

  await t.test("a headless service by any of its pods", async () => {
    assert.deepEqual(await meet("all.test"), ["db-1", "db-2", "db-3"]);
  });

  await t.test("a headless service by the pod that its rule's consistentHash leads to", async () => {
    const users = Array.from({ length: 20 }, (_, index) => ({ "x-user": `user-${index}` }));
    const met = await Promise.all(users.map((user) => meet("sticky.test", user)));
    for (const names of met) assert.equal(names.length, 1, names.join());
    assert.ok(new Set(met.flat()).size > 1, "all users meet one pod");
  });

  for (const name of ["alias", "dns", "around"]) {
    await t.test(`${name}: by DNS`, async () => {
      assert.equal(upstreamOf(await ask(`${name}.test`)), "local");
    });
  }

  await t.test("fixed: by its endpoints", async () => {
    assert.equal(upstreamOf(await ask("fixed.test")), "db-1");
  });

  await t.test("a wildcard by whatever name the caller asks for", async () => {
    assert.equal(upstreamOf(await ask(`a.localhost:${local.port}`)), "local");
    const of = { port: port("edge", "0.0.0.0_443"), servername: "b.localhost", rejectUnauthorized: false };
    const [bytes] = await once(connectTls(of), "data");
    assert.equal(String(bytes), "named");
  });

  await t.test("none: nobody, as nobody was dialled", async () => {
    assert.equal(upstreamOf(await ask("none.test")), 503);
  });

  await t.test("sealed: by mutual TLS, as the gateway's own account", async () => {
    const { status, body } = await ask("sealed.test");
    assert.equal(status, 200, body);
    assert.deepEqual(JSON.parse(body), {
      caller: "URI:spiffe://cluster.local/ns/ingress/sa/edge",
      name: "outbound_.80_._.sealed.shop.svc.cluster.local",
    });
  });

  await t.test("thief: a peer that is not who it should be gets no request", async () => {
    assert.equal(upstreamOf(await ask("thief.test")), 503);
  });
});

test("the narrowest of a server's hosts is heard, and Gateways of one port share it", { skip }, async (t) => {
  const ips = ["127.0.0.61", "127.0.0.62", "127.0.0.63", "127.0.0.64"];
  const [exact, wild, deep, rest] = await Promise.all(ips.map((ip, index) => startUpstream(t, `u${index}`, ip)));
  assert.ok(exact && wild && deep && rest);
  const identities = await gatewayIdentities(t);
  const secure = (host: string) => server(443, "HTTPS", [host], { tls: { mode: "SIMPLE", credentialName: "own" } });
  const { ask, port } = await startGateway(
    t,
    identities,
    [
      gateway("public", [server(80, "HTTP", ["*.example.com", "a.example.com"]), secure("a.example.com")]),
      gateway("other", [server(80, "HTTP", ["*"])], "shop"),
      gateway("secure", [secure("*.example.com")], "shop"),
      ...[exact, wild, deep, rest].map(({ ip, port }, index) => backend(`u${index}`, ip, port)),
      routed("exact", "u0", undefined, ["a.example.com"]),
      routed("wild", "u1", undefined, ["*.example.com"], ["ingress/public", "shop/secure"]),
      routed("deep", "u2", undefined, ["*.deep.example.com", "deep.example.com"]),
      routed("rest", "u3", undefined, ["*"], ["shop/other"]),
    ].join(""),
  );
  const cases: readonly [host: string, upstream: string][] = [
    ["a.example.com", "u0"],
    ["A.Example.COM:80", "u0"],
    ["b.example.com", "u1"],
    ["b.a.example.com", "u1"],
    ["deep.example.com", "u2"],
    ["x.deep.example.com", "u2"],
    ["x.y.deep.example.com", "u2"],
    ["example.com", "u3"],
    ["elsewhere.test", "u3"],
  ];
  for (const [host, upstream] of cases) {
    await t.test(`${host}: ${upstream}`, async () => assert.equal(upstreamOf(await ask(host)), upstream));
  }

  await t.test("of TLS each server has the names that it was first to take, and its own routes", async () => {
    const call = (servername: string, host = servername) =>
      new Promise<string>((resolve, reject) => {
        const socket = connectTls({ port: port("edge", "0.0.0.0_443"), servername, rejectUnauthorized: false });
        let heard = "";
        socket.on("error", reject);
        socket.on("data", (bytes) => {
          heard += bytes;
        });
        socket.on("close", () =>
          resolve(/"upstream":"(\w+)"/.exec(heard)?.[1] ?? (heard.split("\r\n")[0] || "refused")),
        );
        socket.write(`GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      });
    assert.equal(await call("a.example.com"), "u0");
    assert.equal(await call("b.example.com"), "u1");
    // A connection for one server carries requests for its hosts alone.
    assert.equal(await call("a.example.com", "b.example.com"), "HTTP/1.1 404 Not Found");
  });
});

test("one VirtualService holds in the mesh and at a gateway, and leads callers out by it", { skip }, async (t) => {
  const identities = await gatewayIdentities(t);
  const a = await startUpstream(t, "a", "127.0.0.61");
  const b = await startUpstream(t, "b", "127.0.0.62");
  const outside = await startUpstream(t, "outside", "127.0.0.1");
  const exit = await startUpstream(t, "exit", "127.0.0.63");
  const to = (host: string) => [{ destination: { host } }];
  const { ask, port } = await startGateway(
    t,
    identities,
    [
      gateway("public", [server(80, "HTTP")]),
      pod({ name: "caller", ip: "127.0.0.70" }),
      backend("a", a.ip, a.port),
      backend("b", b.ip, b.port),
      backend("exit", exit.ip, exit.port),
      istio("VirtualService", "both", {
        hosts: ["a.shop.svc.cluster.local", "both.test"],
        gateways: ["mesh", ...GATEWAYS],
        http: [
          { match: [{ uri: { prefix: "/outer" }, gateways: GATEWAYS }], route: to("b") },
          { match: [{ uri: { prefix: "/inner" }, gateways: ["mesh"] }], route: to("b") },
          { route: to("a") },
        ],
      }),
      istio("ServiceEntry", "far", {
        hosts: ["far.example.com"],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "DNS",
        endpoints: [{ address: "localhost", ports: { http: outside.port } }],
      }),
      istio("VirtualService", "far", {
        hosts: ["far.example.com"],
        gateways: ["mesh", ...GATEWAYS],
        http: [
          { match: [{ gateways: ["mesh"], port: 80 }], route: to("exit") },
          { match: [{ gateways: GATEWAYS, port: 80 }], route: to("far.example.com") },
        ],
      }),
    ].join(""),
    { callers: ["caller.shop"] },
  );
  const fromMesh = (host: string, path = "/") =>
    get(port("caller.shop", "0.0.0.0_80"), { path, headers: { host } }).then(upstreamOf);
  const fromOutside = (host: string, path = "/") => ask(host, { path }).then(upstreamOf);
  assert.deepEqual(await Promise.all(["/", "/inner", "/outer"].map((path) => fromMesh("a", path))), ["a", "b", "a"]);
  assert.deepEqual(await Promise.all(["/", "/inner", "/outer"].map((path) => fromOutside("both.test", path))), [
    "a",
    "a",
    "b",
  ]);
  assert.equal(await fromMesh("far.example.com"), "exit");
  assert.equal(await fromOutside("far.example.com"), "outside");
});

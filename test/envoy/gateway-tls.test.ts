import assert from "node:assert/strict";
import { createServer } from "node:https";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, connect, TLSSocket } from "node:tls";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { type RunningSidecars, startSidecars } from "../support/sidecars.ts";
import { listenOn, startEcho, startUpstream } from "../support/upstream.ts";

/** TLS at a gateway: ended there with its own certificate or the mesh's, or passed on by the name that is asked for. */

const skip = envoyMissing();
const LABELS = { istio: "ingress" };
const edge = pod({ name: "edge", namespace: "ingress", ip: "127.0.0.60", labels: LABELS });
const server = (name: string, hosts: string[], tls: object, protocol = "HTTPS", number = 443) => ({
  port: { number, name, protocol },
  hosts,
  tls,
});
const gateway = (...servers: object[]) => istio("Gateway", "public", { selector: LABELS, servers }, "ingress");
const at = (spec: object) => ({ gateways: ["ingress/public"], ...spec });
const to = (name: string) => [{ destination: { host: `${name}.shop.svc.cluster.local` } }];

interface Edge {
  readonly own: CallerIdentity;
  readonly stranger: CallerIdentity;
  call(options: Call): Promise<string>;
}

interface Call extends Pick<ConnectionOptions, "servername" | "ALPNProtocols" | "minVersion" | "maxVersion"> {
  readonly identity?: CallerIdentity;
  readonly say?: string;
  readonly listener?: string;
}

/** Answers with what comes back, or with how the connection was refused. */
function call(port: number, { identity, listener: _, ...options }: Call): Promise<string> {
  const { say = request(options.servername), ...tls } = options;
  const mine = identity === undefined ? {} : { cert: identity.chainPem, key: identity.keyPem };
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...tls, ...mine });
    let heard = "";
    socket.on("secureConnect", () => socket.write(say));
    socket.on("data", (bytes) => {
      heard += bytes;
      if (options.say !== undefined || heard.includes("}")) socket.end();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(heard === "" ? "refused" : heard));
  });
}

const request = (host = "") => `GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`;

/** A gateway in front of `web`, which takes requests, `echo`, which takes anything, `secure`, a mesh peer, and `app`, with TLS of its own. */
async function startEdge(t: TestContext, config: string): Promise<Edge> {
  const authority = await temporaryAuthority(t, systemClock);
  const own = await identityOf(authority, { namespace: "ingress", serviceAccount: "edge" });
  const stranger = await identityOf(await temporaryAuthority(t, systemClock), { namespace: "x", serviceAccount: "y" });
  const web = await startUpstream(t, "web", "127.0.0.61");
  const echo = await startEcho(t, "127.0.0.62");
  const peer = () =>
    createServer(
      { cert: own.chainPem, key: own.keyPem, ca: own.rootPem, requestCert: true, ALPNProtocols: ["istio"] },
      ({ socket }, response) => {
        assert.ok(socket instanceof TLSSocket);
        const caller = socket.getPeerX509Certificate()?.subjectAltName;
        response.end(JSON.stringify({ name: Reflect.get(socket, "servername"), caller }));
      },
    );
  const secure = await listenOn(t, peer(), "127.0.0.63");
  const app = await listenOn(t, peer(), "127.0.0.64");
  const backend = (name: string, ip: string, port: number, portName: string, tls = false) => {
    const one = { name: `${name}-0`, ip, labels: { app: name }, tls };
    return (
      pod(one) +
      service({ name, ports: { [portName]: 80 }, clusterIP: ip.replace("127.0", "10.96") }) +
      endpoint(name, one, { [portName]: port })
    );
  };
  const mesh = meshOf(
    [
      edge,
      backend("web", "127.0.0.61", web.port, "http"),
      backend("echo", "127.0.0.62", echo.port, "tcp"),
      backend("secure", "127.0.0.63", secure, "http", true),
      backend("app", "127.0.0.64", app, "tls"),
      config,
    ].join(""),
  );
  const running: RunningSidecars = await startSidecars(t, own, { edge: { mesh, pod: "edge.ingress", type: "router" } });
  return { own, stranger, call: (options) => call(running.port("edge", options.listener ?? "0.0.0.0_443"), options) };
}

test("a server ends TLS with its Secret's certificate, and asks its callers for theirs as its mode says", {
  skip,
}, async (t) => {
  const { call, own, stranger } = await startEdge(
    t,
    gateway(
      server("simple", ["simple.test"], { mode: "SIMPLE", credentialName: "shop" }),
      server("mutual", ["mutual.test"], { mode: "MUTUAL", credentialName: "shop" }),
      server("optional", ["optional.test"], { mode: "OPTIONAL_MUTUAL", credentialName: "shop" }),
      server("mesh", ["mesh.test"], { mode: "ISTIO_MUTUAL" }),
      server("named", ["named.test"], {
        mode: "MUTUAL",
        credentialName: "shop",
        subjectAltNames: ["spiffe://cluster.local/ns/other/sa/one"],
      }),
      server("modern", ["modern.test"], { mode: "SIMPLE", credentialName: "shop", minProtocolVersion: "TLSV1_3" }),
    ) + istio("VirtualService", "web", at({ hosts: ["*"], http: [{ route: to("web") }] })),
  );
  const answered = /200 OK[\s\S]*"upstream":"web"/;
  const cases: [name: string, identity: "own" | "stranger" | undefined, answer: RegExp][] = [
    ["simple.test", undefined, answered],
    ["mutual.test", undefined, /refused/],
    ["mutual.test", "stranger", /refused/],
    ["mutual.test", "own", answered],
    ["optional.test", undefined, answered],
    ["optional.test", "stranger", /refused/],
    ["optional.test", "own", answered],
    ["mesh.test", undefined, /refused/],
    ["mesh.test", "stranger", /refused/],
    ["mesh.test", "own", answered],
    ["named.test", "own", /refused/],
    ["unknown.test", "own", /refused/],
  ];
  for (const [servername, whose, answer] of cases) {
    const identity = whose && { own, stranger }[whose];
    assert.match(await call({ servername, ...(identity && { identity }) }), answer, `${servername} ${whose}`);
  }
  assert.match(await call({ servername: "modern.test", maxVersion: "TLSv1.2" }), /refused/);
  assert.match(await call({ servername: "modern.test" }), answered);
});

test("a server that passes TLS on goes by the name that is asked for, and one that ends it by its own hosts", {
  skip,
}, async (t) => {
  const { call, own } = await startEdge(
    t,
    gateway(
      server("pass", ["*.pass.test"], { mode: "PASSTHROUGH" }, "TLS"),
      server("bytes", ["bytes.test"], { mode: "SIMPLE", credentialName: "shop" }, "TLS"),
    ) +
      istio(
        "VirtualService",
        "pass",
        at({ hosts: ["a.pass.test"], tls: [{ match: [{ sniHosts: ["a.pass.test"] }], route: to("app") }] }),
      ) +
      istio("VirtualService", "bytes", at({ hosts: ["bytes.test"], tcp: [{ route: to("echo") }] })),
  );
  // The peer's own TLS: it sees the caller's certificate.
  assert.match(await call({ servername: "a.pass.test", identity: own }), /"name":"a.pass.test","caller":"URI:spiffe:/);
  assert.equal(await call({ servername: "b.pass.test" }), "refused");
  assert.equal(await call({ servername: "bytes.test", say: "there" }), "hello there");
});

test("between networks the mesh's own TLS is passed on to whom its name says, and to nobody else", {
  skip,
}, async (t) => {
  const { call, own } = await startEdge(
    t,
    gateway(server("cross", ["*.local"], { mode: "AUTO_PASSTHROUGH" }, "TLS", 15443)),
  );
  const ask = (servername: string, ALPNProtocols = ["istio", "http/1.1"]) =>
    call({ servername, ALPNProtocols, identity: own, listener: "0.0.0.0_15443" });
  const name = "outbound_.80_._.secure.shop.svc.cluster.local";
  assert.match(await ask(name), new RegExp(`"name":"${name}","caller":"URI:spiffe:`));
  // Without the mesh's mark, or by the name of what is no service, nothing is reached.
  assert.equal(await ask(name, ["http/1.1"]), "refused");
  for (const other of ["outbound_.80_._.missing.shop.svc.cluster.local", "PassthroughCluster", "secure.shop"]) {
    assert.equal(await ask(other), "refused");
  }
});

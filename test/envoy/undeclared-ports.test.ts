import assert from "node:assert/strict";
import { createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, callGrpc, callHttp, callTcp, type InboundCall, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startGrpcEcho } from "../support/grpc-echo.ts";
import { istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { rateLimit } from "../support/rate-limits.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn, startEcho, startUpstream } from "../support/upstream.ts";

/** What comes in to ports that no Service leads to, at a real Envoy: HTTP is told from the rest and held to all policies. */

const openPaths = { action: "ALLOW", rules: [{ to: [{ operation: { paths: ["/open*"] } }] }] };
const closedPaths = { action: "DENY", rules: [{ to: [{ operation: { paths: ["/closed*"] } }] }] };
const once = { name: "once", scope: "PROXY", rate: { amount: 1, unit: "DAY" } };

interface Ports {
  readonly http: number;
  readonly other: number;
}

/** What holds at the workload of each name. */
const WORKLOADS: Readonly<Record<string, (ports: Ports) => readonly (readonly [kind: string, spec: object])[]>> = {
  free: () => [],
  strict: () => [["PeerAuthentication", { mtls: { mode: "STRICT" } }]],
  disabled: () => [["PeerAuthentication", { mtls: { mode: "DISABLE" } }]],
  allowing: () => [["AuthorizationPolicy", openPaths]],
  denying: () => [["AuthorizationPolicy", closedPaths]],
  "strict-denying": () => [
    ["PeerAuthentication", { mtls: { mode: "STRICT" } }],
    ["AuthorizationPolicy", closedPaths],
  ],
  "disabled-denying": () => [
    ["PeerAuthentication", { mtls: { mode: "DISABLE" } }],
    ["AuthorizationPolicy", closedPaths],
  ],
  "one-strict": ({ http }) => [
    ["PeerAuthentication", { portLevelMtls: { [http]: { mode: "STRICT" } } }],
    ["AuthorizationPolicy", openPaths],
  ],
  "one-disabled": ({ http }) => [
    ["PeerAuthentication", { mtls: { mode: "STRICT" }, portLevelMtls: { [http]: { mode: "DISABLE" } } }],
    ["AuthorizationPolicy", openPaths],
  ],
  limited: () => [["RateLimit", { requests: [once] }]],
  "port-limited": ({ other }) => [
    [
      "RateLimit",
      {
        requests: [{ ...once, ports: [other] }],
        connections: [{ ...once, name: "twice", rate: { amount: 2, unit: "DAY" }, ports: [other] }],
      },
    ],
  ],
  named: () => [
    ["PeerAuthentication", { mtls: { mode: "DISABLE" } }],
    ["AuthorizationPolicy", { action: "DENY", rules: [{ when: [{ key: "connection.sni", values: ["secret.*"] }] }] }],
  ],
};

/** It speaks first, and never listens. */
function startGreeter(t: TestContext): Promise<number> {
  return listenOn(
    t,
    createTcpServer((socket) => socket.on("error", () => socket.destroy()).end("welcome")),
    "127.0.0.1",
  );
}

/** An application that speaks TLS of its own, with a certificate that the mesh knows nothing of. */
async function startOwnTls(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const { chainPem, keyPem, rootPem } = await identityOf(authority, { namespace: "own", serviceAccount: "app" });
  const server = createTlsServer({ cert: chainPem, key: keyPem, ALPNProtocols: ["h2", "http/1.1"] }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", () => socket.write("own"));
  });
  return { port: await listenOn(t, server, "127.0.0.1"), caller: { rootPem } };
}

async function startWorkloads(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const server = await identityOf(authority, { namespace: "shop", serviceAccount: "server" });
  const caller = await identityOf(authority, { namespace: "shop", serviceAccount: "page" });
  const [http, other, echo] = [await startUpstream(t, "app"), await startUpstream(t, "other"), await startEcho(t)];
  const [greeter, declared] = [await startGreeter(t), await startGreeter(t)];
  const [grpc, own] = [await startGrpcEcho(t, "127.0.0.1"), await startOwnTls(t)];
  const objects = Object.entries(WORKLOADS).map(([name, policiesFor]) => {
    const selector = { matchLabels: { app: name } };
    const policies = policiesFor({ http: http.port, other: other.port }).map(([kind, spec]) => {
      const held = { selector, ...spec };
      if (kind === "RateLimit") return rateLimit(name, held);
      return istio(kind === "PeerAuthentication" ? kind : "AuthorizationPolicy", name, held);
    });
    return [
      pod({ name, ip: "127.0.0.1", labels: { app: name } }),
      service({ name, ports: { "tcp-declared": { port: 90, targetPort: declared } } }),
      ...policies,
    ].join("");
  });
  const mesh = meshOf(objects.join(""));
  const hasty = meshOf(objects.join("") + meshConfig("protocolDetectionTimeout: 100ms"));
  const running = await startSidecars(t, server, {
    ...Object.fromEntries(Object.keys(WORKLOADS).map((name) => [name, { mesh, pod: `${name}.shop` }])),
    hasty: { mesh: hasty, pod: "free.shop" },
    // Where nothing is looked for, nothing is waited for: not even for so long.
    patient: {
      mesh: meshOf(objects.join("") + meshConfig("protocolDetectionTimeout: 1h")),
      pod: "disabled.shop",
    },
  });
  const ports = { http: http.port, other: other.port, echo: echo.port, greeter, declared, grpc, own: own.port };
  return {
    app: http,
    own,
    envoy: running.envoy,
    to(sidecar: string, port: keyof typeof ports, identity?: Partial<CallerIdentity>, alpn?: string[]): InboundCall {
      return {
        port: running.port(sidecar, "virtualInbound"),
        destination: ports[port],
        ...(identity === undefined ? {} : { identity }),
        ...(alpn === undefined ? {} : { alpn }),
      };
    },
    caller,
  };
}

/** What a sidecar offers where the bytes inside are requests, and where they are not. */
const REQUESTS = ["istio-http/1.1", "istio", "http/1.1"];
const CALLS = ["istio-h2", "istio", "h2"];
const BYTES = ["istio"];

test("ports that no Service leads to, at a real Envoy", { skip: envoyMissing(), timeout: 180_000 }, async (t) => {
  const { to, caller, app, own, envoy } = await startWorkloads(t);
  const statusOf = async (call: InboundCall, path: string) => (await callHttp(call, { path }))?.status;
  // No request begins so: else Envoy waits for more of it.
  const words = "ahoy, there";
  const isEchoed = async (call: InboundCall) => (await callTcp(call, words)) === `hello ${words}`;

  const requests: [workload: string, way: "plaintext" | "mesh", path: string, status: number | undefined][] = [
    ["allowing", "plaintext", "/open/1", 200],
    ["allowing", "plaintext", "/closed/1", 403],
    ["allowing", "mesh", "/open/1", 200],
    ["allowing", "mesh", "/closed/1", 403],
    ["denying", "plaintext", "/open/1", 200],
    ["denying", "plaintext", "/closed/1", 403],
    ["denying", "mesh", "/open/1", 200],
    ["denying", "mesh", "/closed/1", 403],
    ["strict", "plaintext", "/", undefined],
    ["strict", "mesh", "/", 200],
    ["strict-denying", "mesh", "/open/1", 200],
    ["strict-denying", "mesh", "/closed/1", 403],
    ["disabled-denying", "plaintext", "/open/1", 200],
    ["disabled-denying", "plaintext", "/closed/1", 403],
    ["disabled-denying", "mesh", "/open/1", undefined],
    ["one-strict", "plaintext", "/open/1", undefined],
    ["one-strict", "mesh", "/open/1", 200],
    ["one-strict", "mesh", "/closed/1", 403],
    ["one-disabled", "plaintext", "/open/1", 200],
    ["one-disabled", "plaintext", "/closed/1", 403],
    ["one-disabled", "mesh", "/open/1", undefined],
  ];
  for (const [workload, way, path, status] of requests) {
    await t.test(`${workload}: ${path} in ${way} is answered ${status ?? "not at all"}`, async () => {
      const call = way === "mesh" ? to(workload, "http", caller, REQUESTS) : to(workload, "http");
      assert.equal(await statusOf(call, path), status);
    });
  }

  await t.test("the application is told who called", async () => {
    await callHttp(to("free", "http", caller, REQUESTS), { path: "/who" });
    const told = String(app.last("/who")?.headers["x-forwarded-client-cert"]);
    assert.match(told, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/page/);
  });

  await t.test("requests are counted under Istio's name", async () => {
    const count = () => envoy.stat("http.InboundPassthroughCluster.downstream_rq_total");
    const before = await count();
    await statusOf(to("free", "http"), "/");
    await statusOf(to("strict", "http", caller, REQUESTS), "/");
    assert.equal(await count(), before + 2);
  });

  const connections: [workload: string, lets: Readonly<Record<"plaintext" | "mesh", boolean>>][] = [
    ["free", { plaintext: true, mesh: true }],
    ["strict", { plaintext: false, mesh: true }],
    ["disabled", { plaintext: true, mesh: false }],
    // Doubt refuses: of bytes no path is known.
    ["allowing", { plaintext: false, mesh: false }],
    ["denying", { plaintext: false, mesh: false }],
  ];
  for (const [workload, lets] of connections) {
    await t.test(`${workload}: what is no HTTP`, async () => {
      assert.deepEqual(
        {
          plaintext: await isEchoed(to(workload, "echo")),
          mesh: await isEchoed(to(workload, "echo", caller, BYTES)),
        },
        lets,
      );
    });
  }

  await t.test("a request that a caller's proxy calls bytes is not let past what is asked of requests", async () => {
    assert.equal(await statusOf(to("denying", "http", caller, BYTES), "/closed/1"), undefined);
    assert.equal(await statusOf(to("strict-denying", "http", caller, BYTES), "/closed/1"), undefined);
  });

  await t.test(
    "who speaks first is heard once the time for detection is over, and at once by the mesh's TLS",
    async () => {
      const heard = async (call: InboundCall) => callTcp(call, null);
      assert.equal(await heard(to("hasty", "greeter")), "welcome");
      assert.equal(await heard(to("strict", "greeter", caller, BYTES)), "welcome");
      assert.equal(
        await heard(to("patient", "declared")),
        "welcome",
        "a port that is declared, without TLS to look for",
      );
    },
  );

  await t.test("HTTP/2 and gRPC reach an application that speaks nothing else", async () => {
    assert.equal(await callGrpc(to("free", "grpc"), "/open.Api/Get"), "0");
    assert.equal(await callGrpc(to("disabled", "grpc"), "/open.Api/Get"), "0");
    assert.equal(await callGrpc(to("strict", "grpc", caller, CALLS), "/open.Api/Get"), "0");
    assert.equal(await callGrpc(to("strict-denying", "grpc", caller, CALLS), "/closed.Api/Get"), "7");
    assert.equal(await callGrpc(to("denying", "grpc"), "/closed.Api/Get"), "7");
  });

  await t.test("an application's own TLS passes, whatever it offers, where no other is asked for", async () => {
    const call = (workload: string) => to(workload, "own", own.caller, ["h2", "http/1.1"]);
    assert.equal(await callTcp(call("free")), "own");
    assert.equal(await callTcp(call("disabled")), "own");
    assert.equal(await callTcp(call("strict")), null);
  });

  await t.test("a policy may ask for the name in the application's own TLS", async () => {
    const call = { ...to("named", "own", own.caller), alpn: ["http/1.1"] };
    assert.equal(await callTcp({ ...call, serverName: "open.example.com" }), "own");
    assert.equal(await callTcp({ ...call, serverName: "secret.example.com" }), null);
  });

  await t.test("a RateLimit counts requests there, and at the ports that it names alone", async () => {
    const asked = async (call: InboundCall) => [
      await statusOf(call, "/"),
      await statusOf(call, "/"),
      await statusOf(call, "/"),
    ];
    assert.deepEqual(await asked(to("limited", "http")), [200, 429, 429]);
    assert.deepEqual(await asked(to("port-limited", "http")), [200, 200, 200]);
    assert.deepEqual(await asked(to("port-limited", "other")), [200, 429, undefined], "and of connections two");
  });
});

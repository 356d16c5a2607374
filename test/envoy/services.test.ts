import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, get, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { document, endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn, startEcho, startUpstream } from "../support/upstream.ts";

/** How a sidecar reaches every form of service, asked of a real Envoy. */

/** An application that speaks either HTTP or anything else on one port: it answers with the first line that it is sent. */
async function startEither(t: TestContext, ip: string): Promise<number> {
  const http = createHttpServer(({ headers }, response) => response.end(`http at ${headers["x-routed"] ?? "will"}`));
  const server = createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (bytes) => {
      if (!/^GET /.test(bytes.toString())) {
        socket.end(`tcp ${bytes.toString()}`);
        return;
      }
      socket.unshift(bytes);
      http.emit("connection", socket);
    });
  });
  return listenOn(t, server, ip);
}

/** It speaks first, and never listens. */
function startGreeter(t: TestContext, ip: string): Promise<number> {
  return listenOn(
    t,
    createTcpServer((socket) => socket.on("error", () => socket.destroy()).end("welcome")),
    ip,
  );
}

/** TLS of the application's own: it answers with its name and the server name that it was asked for. */
function startTls(t: TestContext, name: string, { chainPem, keyPem }: CallerIdentity, ip: string): Promise<number> {
  const server = createTlsServer({ cert: chainPem, key: keyPem }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(`${name} for ${Reflect.get(socket, "servername")}`);
  });
  return listenOn(t, server, ip);
}

async function exchange(port: number, words: string | null): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    if (words !== null) socket.write(words);
    const [answer] = await once(socket, "data", { signal: AbortSignal.timeout(30_000) });
    return String(answer);
  } finally {
    socket.destroy();
  }
}

async function exchangeTls(port: number, servername: string): Promise<string> {
  const socket = connectTls({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  try {
    const [answer] = await once(socket, "data", { signal: AbortSignal.timeout(30_000) });
    return String(answer);
  } finally {
    socket.destroy();
  }
}

const routed = (host: string, port: number) => [
  {
    headers: { request: { set: { "x-routed": "its route" } } },
    route: [{ destination: { host, port: { number: port } } }],
  },
];

async function startMesh(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = (serviceAccount: string) => identityOf(authority, { namespace: "shop", serviceAccount });
  const either = await startEither(t, "127.0.0.61");
  const greeter = await startGreeter(t, "127.0.0.62");
  const upstreams = {
    db0: await startEcho(t, "127.0.0.63"),
    web0: await startUpstream(t, "web-0", "127.0.0.65"),
    web1: await startUpstream(t, "web-1", "127.0.0.66"),
    api: await startUpstream(t, "api", "127.0.0.67"),
    vm: await startUpstream(t, "vm", "127.0.0.68"),
    local: await startUpstream(t, "local", "127.0.0.1"),
  };
  const tls = {
    a: await startTls(t, "a", await identity("a"), "127.0.0.71"),
    b: await startTls(t, "b", await identity("b"), "127.0.0.72"),
    local: await startTls(t, "local", await identity("local"), "127.0.0.1"),
    secure: await startTls(t, "db-1", await identity("db"), "127.0.0.64"),
  };
  const external = (name: string, spec: object) => istio("ServiceEntry", name, spec);
  const yaml = [
    pod({ name: "caller", ip: "127.0.0.60", labels: { app: "caller" } }),
    service({ name: "either", ports: { odd: 9000 }, clusterIP: "10.96.1.1" }),
    endpoint("either", { name: "either-0", ip: "127.0.0.61" }, { odd: either }),
    istio("VirtualService", "either", { hosts: ["either"], http: routed("either", 9000) }),
    service({ name: "greeter", ports: { odd: 9001 }, clusterIP: "10.96.1.2" }),
    endpoint("greeter", { name: "greeter-0", ip: "127.0.0.62" }, { odd: greeter }),
    // Headless: one pod in plaintext, one that takes mutual TLS.
    service({ name: "db", ports: { tcp: 5000 } }),
    pod({ name: "db-0", ip: "127.0.0.63", labels: { app: "db" } }),
    endpoint("db", { name: "db-0", ip: "127.0.0.63" }, { tcp: upstreams.db0.port }),
    pod({ name: "db-1", ip: "127.0.0.64", labels: { app: "db" }, serviceAccount: "db", tls: true }),
    endpoint("db", { name: "db-1", ip: "127.0.0.64" }, { tcp: tls.secure }),
    service({ name: "web", ports: { http: 80 } }),
    ...(["web0", "web1"] as const).map((key, index) =>
      endpoint(
        "web",
        { name: `web-${index}`, ip: upstreams[key].ip, hostname: `web-${index}` },
        { http: upstreams[key].port },
      ),
    ),
    external("tls", {
      hosts: ["a.example.com"],
      ports: [{ number: 443, name: "tls", protocol: "TLS" }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.71", ports: { tls: tls.a } }],
    }),
    external("tls-wild", {
      hosts: ["*.b.example.com"],
      ports: [{ number: 443, name: "https", protocol: "HTTPS" }],
      resolution: "STATIC",
      endpoints: [{ address: "127.0.0.72", ports: { https: tls.b } }],
    }),
    external("api", {
      hosts: ["api.example.com", "other.example.com"],
      addresses: ["192.0.2.1"],
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: upstreams.api.port }],
      resolution: "STATIC",
      endpoints: [{ address: upstreams.api.ip }],
    }),
    external("by-dns", {
      hosts: ["dns.example.com"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
      endpoints: [{ address: "localhost", ports: { http: upstreams.local.port } }],
    }),
    external("round-robin", {
      hosts: ["localhost"],
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: upstreams.local.port }],
      resolution: "DNS_ROUND_ROBIN",
    }),
    external("dynamic", {
      hosts: ["*.nip.example"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DYNAMIC_DNS",
    }),
    // Names below localhost are this machine, without asking anybody.
    external("looked-up", {
      hosts: ["*.localhost"],
      ports: [
        { number: upstreams.local.port, name: "http", protocol: "HTTP" },
        { number: tls.local, name: "tls", protocol: "TLS" },
      ],
      resolution: "DYNAMIC_DNS",
    }),
    istio("VirtualService", "looked-up", {
      hosts: ["*.localhost"],
      tls: [
        {
          match: [{ sniHosts: ["routed.localhost"] }],
          route: [{ destination: { host: "*.localhost", port: { number: tls.local } } }],
        },
      ],
    }),
    external("machines", {
      hosts: ["vm.example.com"],
      location: "MESH_INTERNAL",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      workloadSelector: { labels: { app: "vm" } },
    }),
    istio("WorkloadEntry", "vm", {
      address: upstreams.vm.ip,
      ports: { http: upstreams.vm.port },
      labels: { app: "vm" },
    }),
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "alias", namespace: "shop" },
      spec: {
        type: "ExternalName",
        externalName: "outside.localhost",
        ports: [{ name: "http", port: upstreams.local.port }],
      },
    }),
  ].join("");
  // Who sends requests to the sidecar as to a proxy dials no pod.
  const explicit = istio("Sidecar", "explicit", {
    egress: [{ port: { number: 80, protocol: "HTTP", name: "http" }, captureMode: "NONE", hosts: ["./*"] }],
  });
  const running = await startSidecars(t, await identity("caller"), {
    caller: { mesh: meshOf(yaml), pod: "caller.shop" },
    explicit: { mesh: meshOf(yaml + explicit), pod: "caller.shop" },
    hasty: { mesh: meshOf(yaml + meshConfig("protocolDetectionTimeout: 0.1s")), pod: "caller.shop" },
  });
  return { ...running, local: upstreams.local, localTls: tls.local };
}

test("a sidecar reaches every form of service", { skip: envoyMissing() }, async (t) => {
  const { port, local, localTls } = await startMesh(t);
  const at = (listener: string) => port("caller", listener);
  const reaches = async (host: string, listener = "0.0.0.0_80") => {
    const { status, body } = await get(at(listener), { headers: { host } });
    assert.equal(status, 200, body);
    return JSON.parse(body).upstream;
  };

  await t.test("a port that declares no protocol: HTTP takes its routes, and the rest is passed on", async () => {
    const { body } = await get(at("10.96.1.1_9000"), { headers: { host: "either" } });
    assert.equal(body, "http at its route");
    // Without the end of a first line, Envoy still waits for what might become a request.
    assert.equal(await exchange(at("10.96.1.1_9000"), "anything at all\r\n"), "tcp anything at all\r\n");
  });

  await t.test("a server that speaks first is heard once the mesh's timeout for detection is over", async () => {
    assert.equal(await exchange(port("hasty", "10.96.1.2_9001"), null), "welcome");
  });

  await t.test("a headless TCP service: whoever dials a pod gets that pod", async () => {
    assert.equal(await exchange(at("127.0.0.63_5000"), "you"), "hello you");
  });

  await t.test("by mutual TLS where the pod takes it", async () => {
    assert.match(await exchange(at("127.0.0.64_5000"), "x"), /^db-1 for outbound_\.5000_\._\.db\.shop/);
  });

  await t.test("a headless HTTP service, asked of the sidecar itself: any pod, or one by its own name", async () => {
    const listener = port("explicit", "127.0.0.1_80");
    const who = async (host: string): Promise<string> =>
      JSON.parse((await get(listener, { headers: { host } })).body).upstream;
    for (const name of ["web-0", "web-1"]) {
      for (const host of [`${name}.web`, `${name}.web.shop`, `${name}.web.shop.svc.cluster.local`]) {
        for (let i = 0; i < 3; i++) assert.equal(await who(host), name, host);
      }
    }
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) seen.add(await who("web"));
    assert.deepEqual([...seen].sort(), ["web-0", "web-1"]);
  });

  await t.test("TLS of the application's own finds its host by the server name, whole or by wildcard", async () => {
    assert.equal(await exchangeTls(at("0.0.0.0_443"), "a.example.com"), "a for a.example.com");
    assert.equal(await exchangeTls(at("0.0.0.0_443"), "x.b.example.com"), "b for x.b.example.com");
  });

  await t.test("ServiceEntries with fixed endpoints, by any of their hosts and their addresses", async () => {
    for (const host of ["api.example.com", "other.example.com", "192.0.2.1"])
      assert.equal(await reaches(host), "api", host);
  });

  await t.test("ServiceEntries by DNS, from their endpoints or their own host", async () => {
    assert.equal(await reaches("dns.example.com"), "local");
    assert.equal(await reaches("localhost"), "local");
  });

  await t.test("a ServiceEntry that looks up whatever host is asked for, and says so where there is none", async () => {
    const { status } = await get(at("0.0.0.0_80"), { headers: { host: "nowhere.nip.example" } });
    assert.equal(status, 503);
  });

  await t.test("and goes where its answer says, by the Host header or the server name in TLS", async () => {
    assert.equal(await reaches(`a.localhost:${local.port}`, `0.0.0.0_${local.port}`), "local");
    for (const name of ["b.localhost", "routed.localhost"]) {
      assert.equal(await exchangeTls(at(`0.0.0.0_${localTls}`), name), `local for ${name}`);
    }
  });

  await t.test("a ServiceEntry's workloads are the WorkloadEntries that it selects", async () => {
    assert.equal(await reaches("vm.example.com"), "vm");
  });

  await t.test("an ExternalName leads to the name that it stands for", async () => {
    assert.equal(await reaches("alias", `0.0.0.0_${local.port}`), "local");
  });
});

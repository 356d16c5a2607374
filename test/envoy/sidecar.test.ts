import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { selfContainedConfig } from "../../src/translate/self-contained.ts";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { callHttp, get, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { answerWithName, ask } from "../support/intercepted-pod.ts";
import { endpoint, istio, pod, service } from "../support/manifests.ts";
import { meshOf, resourcesFor } from "../support/mesh.ts";
import { createTestNetwork, netnsMissing } from "../support/netns.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { startUpstream, startUpstreamAtSocket } from "../support/upstream.ts";

/** What Sidecars show their proxies and have them listen on, asked of a real Envoy. */

async function startMesh(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  const upstream = async (name: string, ip: string) => ({ name, ...(await startUpstream(t, name, ip)) });
  const own = await upstream("own", "127.0.0.81");
  const far = await upstream("far", "127.0.0.82");
  const proxy = await upstream("proxy", "127.0.0.83");
  const app = await upstream("app", "127.0.0.1");
  const socket = await startUpstreamAtSocket(t, "socket");
  const backend = ({ name, ip, port }: typeof own, namespace: string, clusterIP: string, number = 80) =>
    service({ name, namespace, ports: { http: number }, clusterIP }) +
    endpoint(name, { name: `${name}-0`, namespace, ip }, { http: port });
  const yaml = [
    ...["limited", "open", "proxied", "listening", "bound", "pooled", "without"].map((name, index) =>
      pod({ name, ip: `127.0.0.${90 + index}`, labels: { app: name } }),
    ),
    pod({ name: "other", namespace: "edge", ip: "127.0.0.95", labels: { app: "limited" } }),
    backend(own, "shop", "10.96.2.1"),
    backend(far, "data", "10.96.2.2"),
    backend(proxy, "data", "10.96.2.3", 3128),
    // For the whole mesh: no more than the own namespace.
    istio(
      "Sidecar",
      "default",
      { egress: [{ hosts: ["./*"] }], outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } },
      "trysail-system",
    ),
    istio("Sidecar", "default", { egress: [{ hosts: ["./*"] }], outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }),
    istio("Sidecar", "open", { workloadSelector: { labels: { app: "open" } }, egress: [{ hosts: ["*/*"] }] }),
    istio("Sidecar", "without", {
      workloadSelector: { labels: { app: "without" } },
      egress: [{ hosts: ["*/*", "~data/*.svc.cluster.local", "~/nothing.example.com"] }],
      outboundTrafficPolicy: { mode: "REGISTRY_ONLY" },
    }),
    istio("Sidecar", "proxied", {
      workloadSelector: { labels: { app: "proxied" } },
      egress: [
        {
          port: { number: 80, protocol: "HTTP", name: "http" },
          bind: "127.0.0.1",
          captureMode: "NONE",
          hosts: ["data/*"],
        },
        { hosts: ["shop/own.shop.svc.cluster.local"] },
      ],
      outboundTrafficPolicy: {
        mode: "ALLOW_ANY",
        egressProxy: { host: "proxy.data.svc.cluster.local", port: { number: 3128 } },
      },
    }),
    istio("Sidecar", "listening", {
      workloadSelector: { labels: { app: "listening" } },
      ingress: [
        { port: { number: 9080, protocol: "HTTP", name: "http" }, defaultEndpoint: `127.0.0.1:${app.port}` },
        { port: { number: 9084, protocol: "HTTP", name: "socket" }, defaultEndpoint: `unix://${socket}` },
      ],
    }),
    istio("Sidecar", "bound", {
      workloadSelector: { labels: { app: "bound" } },
      ingress: [
        {
          port: { number: 9083, protocol: "HTTP", name: "http" },
          bind: "127.0.0.97",
          captureMode: "NONE",
          defaultEndpoint: `127.0.0.1:${app.port}`,
        },
      ],
    }),
    istio("Sidecar", "pooled", {
      workloadSelector: { labels: { app: "pooled" } },
      ingress: [
        {
          port: { number: 9081, protocol: "HTTP", name: "http" },
          defaultEndpoint: `127.0.0.1:${app.port}`,
          connectionPool: { http: { http2MaxRequests: 1 } },
        },
        { port: { number: 9082, protocol: "HTTP", name: "http" }, defaultEndpoint: `127.0.0.1:${app.port}` },
      ],
      inboundConnectionPool: { http: { http2MaxRequests: 2 } },
    }),
  ].join("");
  const mesh = meshOf(yaml);
  const sidecars = Object.fromEntries(
    [
      "limited.shop",
      "open.shop",
      "proxied.shop",
      "listening.shop",
      "bound.shop",
      "pooled.shop",
      "without.shop",
      "other.edge",
    ].map((name) => [name.split(".")[0] ?? "", { mesh, pod: name }]),
  );
  return { app, mesh, ...(await startSidecars(t, identity, sidecars)) };
}

test("a Sidecar decides what its proxies see and where they listen", { skip: envoyMissing() }, async (t) => {
  const { app, mesh, port } = await startMesh(t);
  const answer = async (sidecar: string, host: string, listener = "0.0.0.0_80") => {
    const { status, body } = await get(port(sidecar, listener), { headers: { host } });
    return status === 200 ? JSON.parse(body).upstream : status;
  };

  await t.test("the namespace's own holds for workloads that none selects", async () => {
    assert.equal(await answer("limited", "own"), "own");
    assert.equal(await answer("limited", "far.data"), 502);
  });

  await t.test("one that selects a workload comes before it", async () => {
    assert.equal(await answer("open", "own"), "own");
    assert.equal(await answer("open", "far.data"), "far");
  });

  await t.test("what it leaves out is not there, whatever else it names", async () => {
    assert.equal(await answer("without", "own"), "own");
    assert.equal(await answer("without", "far.data"), 502);
  });

  await t.test("the root namespace's holds where a namespace has none, for that namespace's own services", () => {
    const listeners = resourcesFor(mesh, "other.edge").get(TYPE_URL.listener)?.byName ?? new Map();
    assert.deepEqual(
      [...listeners.keys()].filter((name) => name.startsWith("0.0.0.0_")),
      [],
    );
  });

  await t.test("a listener of its own has only what it names, and the others do not have that", async () => {
    assert.equal(await answer("proxied", "far.data", "127.0.0.1_80"), "far");
    assert.notEqual(await answer("proxied", "own", "127.0.0.1_80"), "own");
    assert.equal(await answer("proxied", "own"), "own");
  });

  await t.test("what is not known goes to the proxy for that", async () => {
    assert.equal(await answer("proxied", "unknown.example.com"), "proxy");
    assert.equal(await answer("proxied", "far.data"), "proxy");
  });

  await t.test("an inbound listener hands over to where the application listens", async () => {
    for (const [destination, upstream] of [
      [9080, "app"],
      [9084, "socket"],
    ] as const) {
      const answered = await callHttp({ port: port("listening", "virtualInbound"), destination });
      assert.equal(JSON.parse(answered?.body ?? "{}").upstream, upstream);
    }
  });

  await t.test("an inbound listener that intercepts nothing is called by its own address", async () => {
    const { body } = await get(port("bound", "127.0.0.97_9083"), {});
    assert.equal(JSON.parse(body).upstream, "app");
  });

  await t.test("connection pools of inbound listeners are their own, else the Sidecar's", async () => {
    for (const [destination, limit] of [
      [9081, 1],
      [9082, 2],
    ] as const) {
      const path = `/never-${destination}`;
      const call = () => callHttp({ port: port("pooled", "virtualInbound"), destination }, { path });
      // They end with the application, behind the test.
      for (let held = 1; held <= limit; held++) {
        void call();
        await until("the request at the application", () => app.count(path) === held);
      }
      assert.equal((await call())?.headers["x-envoy-overloaded"], "true");
      assert.equal(app.count(path), limit);
    }
  });
});

test("an inbound listener that says a port alone hands over to where the caller dialled, as one that says nothing", () => {
  const clusterOf = (defaultEndpoint: object) => {
    const ingress = [{ port: { number: 9080, protocol: "HTTP", name: "http" }, ...defaultEndpoint }];
    const mesh = meshOf(pod({ name: "web", ip: "127.0.0.1", labels: {} }) + istio("Sidecar", "default", { ingress }));
    return resourcesFor(mesh, "web.shop").get(TYPE_URL.cluster)?.byName.get("inbound|9080||")?.bytes;
  };
  const dialled = clusterOf({});
  assert.ok(dialled !== undefined);
  assert.deepEqual(clusterOf({ defaultEndpoint: ":80" }), dialled);
  assert.notDeepEqual(clusterOf({ defaultEndpoint: "127.0.0.1:80" }), dialled);
});

test("an inbound listener that intercepts nothing is at the address that its Sidecar says, and at no other", {
  skip: netnsMissing() || envoyMissing(),
}, async (t) => {
  const { machine, pod: host } = await createTestNetwork(t);
  await answerWithName(host, "app", [9090]);
  const mesh = meshOf(
    pod({ name: "bound", ip: host.ipv4 }) +
      istio("Sidecar", "bound", {
        ingress: [
          {
            port: { number: 9083, protocol: "TCP", name: "tcp" },
            bind: "127.0.0.2",
            captureMode: "NONE",
            defaultEndpoint: "127.0.0.1:9090",
          },
        ],
      }),
  );
  const config = selfContainedConfig(resourcesFor(mesh, "bound.shop"), "sidecar~x~bound.shop~x", placeholderIdentity());
  await startEnvoyInPod(t, host, config, { asRoot: true });
  assert.equal(await ask(host, "127.0.0.2", 9083), "app 9090");
  for (const [from, address] of [
    [host, "127.0.0.3"],
    [host, host.ipv4],
    [machine, host.ipv4],
  ] as const) {
    await assert.rejects(ask(from, address, 9083), /ECONNREFUSED/, address);
  }
});

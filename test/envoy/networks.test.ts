import assert from "node:assert/strict";
import { createServer } from "node:https";
import { type TestContext, test } from "node:test";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, get, identityOf } from "../support/caller.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { document, endpoint, istio, pod, service } from "../support/manifests.ts";
import { objectsOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { listenOn, startUpstream } from "../support/upstream.ts";

/** Callers and services in two clusters on two networks, asked of real Envoys. */

const HOST = "web.shop.svc.cluster.local";
const CLUSTER = `outbound_.80_._.${HOST}`;

/** What a sidecar in front of an application is to others: mutual TLS of the mesh. */
async function startFar(t: TestContext, { chainPem, keyPem, rootPem }: CallerIdentity) {
  const tls = { cert: chainPem, key: keyPem, ca: rootPem, requestCert: true, rejectUnauthorized: true };
  return listenOn(
    t,
    createServer(tls, (_request, response) => response.end("far")),
    "127.0.0.1",
  );
}

/** An east-west gateway: an Envoy that passes connections on to whom their SNI names, and cannot read them. */
async function startGateway(t: TestContext, port: number, name = CLUSTER) {
  const type = (name: string) => ({ "@type": `type.googleapis.com/envoy.extensions.filters.${name}` });
  const gateway = await startEnvoy(t, {
    static_resources: {
      listeners: [
        {
          name: "main",
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          listener_filters: [{ name: "tls", typed_config: type("listener.tls_inspector.v3.TlsInspector") }],
          filter_chains: [
            {
              filters: [
                { name: "sni", typed_config: type("network.sni_cluster.v3.SniCluster") },
                {
                  name: "tcp",
                  typed_config: { ...type("network.tcp_proxy.v3.TcpProxy"), stat_prefix: "gateway", cluster: "none" },
                },
              ],
            },
          ],
        },
      ],
      clusters: [
        {
          name,
          type: "STATIC",
          load_assignment: {
            cluster_name: name,
            endpoints: [
              {
                lb_endpoints: [
                  { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } },
                ],
              },
            ],
          },
        },
      ],
    },
  });
  return gateway.listenerPort("main");
}

const systemNamespace = (network: string) =>
  document({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "trysail-system", labels: { "topology.istio.io/network": network } },
  });

test("a service on two networks", { skip: envoyMissing() }, async (t) => {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  const near = await startUpstream(t, "near", "127.0.0.101");
  const far = await startFar(t, identity);
  const gateway = await startGateway(t, far);
  const web = service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.3.1" });
  const local = [
    systemNamespace("here"),
    web,
    pod({ name: "caller", ip: "127.0.0.100", labels: { app: "caller" } }),
    pod({ name: "guest", ip: "127.0.0.99", labels: { app: "guest", "topology.istio.io/network": "there" } }),
    pod({ name: "web-0", ip: near.ip, labels: { app: "web" } }),
    endpoint("web", { name: "web-0", ip: near.ip }, { http: near.port }),
  ];
  const remote = [
    systemNamespace("there"),
    web,
    // Nothing but the gateway leads to this address from here.
    pod({ name: "web-0", ip: "127.0.0.1", labels: { app: "web" }, tls: true }),
    endpoint("web", { name: "web-0", ip: "127.0.0.1" }, { http: far }),
    // Without mutual TLS a gateway could not tell whom a connection is for.
    pod({ name: "plain", ip: "127.0.0.55", labels: { app: "web" } }),
    endpoint("web", { name: "plain", ip: "127.0.0.55" }, { http: 1 }),
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: "eastwest",
        namespace: "trysail-system",
        labels: { "topology.istio.io/network": "there", "networking.istio.io/gatewayPort": String(gateway) },
      },
      spec: { clusterIP: "10.96.3.2", externalIPs: ["127.0.0.1"], ports: [{ name: "tls", port: gateway }] },
    }),
  ];
  const mesh = createSnapshotBuilder("cluster.local").build({
    objects: objectsOf(local.join("")),
    findings: [],
    remotes: [{ cluster: "east", objects: objectsOf(remote.join("")) }],
  });
  const running = await startSidecars(t, identity, { caller: { mesh, pod: "caller.shop" } });

  const answers = async (count: number) => {
    const bodies = new Set<string>();
    for (let at = 0; at < count; at++) {
      const { status, body } = await get(running.port("caller", "0.0.0.0_80"), { headers: { host: HOST } });
      assert.equal(status, 200, body);
      bodies.add(body === "far" ? "far" : JSON.parse(body).upstream);
    }
    return [...bodies].sort();
  };

  await t.test("is called beyond its gateway by mutual TLS, and nearby directly", async () => {
    assert.deepEqual(await answers(60), ["far", "near"]);
    const endpoints = await running.envoy.admin("/clusters");
    const hosts = [...endpoints.matchAll(/^outbound\|80\|\|web\S*?::([\d.]+:\d+)::weight::(\d+)$/gm)].map(
      ([, host, weight]) => `${host} ${weight}`,
    );
    assert.deepEqual(hosts.sort(), [`${near.ip}:${near.port} 1`, `127.0.0.1:${gateway} 1`].sort());
  });

  await t.test("is called directly by who is on the other network", async () => {
    const guest = await startSidecars(t, identity, { guest: { mesh, pod: "guest.shop" } });
    const endpoints = await guest.envoy.admin("/clusters");
    assert.match(endpoints, new RegExp(`^outbound\\|80\\|\\|web\\S*?::127\\.0\\.0\\.1:${far}::`, "m"));
    assert.match(endpoints, /^outbound\|80\|\|web\S*?::127\.0\.0\.55:1::/m);
  });
});

test("networks that the mesh config names", { skip: envoyMissing() }, async (t) => {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  const far = await startFar(t, identity);
  const gateway = await startGateway(t, far);
  const beyond = await startGateway(t, far, "outbound_.80_._.vm.example.com");
  const web = service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.3.1" });
  const meshNetworks = {
    networks: {
      here: { endpoints: [{ fromRegistry: "Kubernetes" }] },
      there: { endpoints: [{ fromCidr: "127.0.0.48/28" }], gateways: [{ address: "127.0.0.1", port: gateway }] },
      machines: {
        endpoints: [{ fromRegistry: "east" }],
        gateways: [{ registryServiceName: "entry.shop.svc.cluster.local", port: beyond }],
      },
    },
  };
  const local = [
    document({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio", namespace: "trysail-system" },
      data: { mesh: "{}", meshNetworks: JSON.stringify(meshNetworks) },
    }),
    web,
    pod({ name: "caller", ip: "127.0.0.100", labels: { app: "caller" } }),
    pod({ name: "web-0", ip: "127.0.0.55", labels: { app: "web" }, tls: true }),
    // Nobody answers at this address itself.
    endpoint("web", { name: "web-0", ip: "127.0.0.55" }, { http: 1 }),
    istio("ServiceEntry", "vm", {
      hosts: ["vm.example.com"],
      location: "MESH_INTERNAL",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      workloadSelector: { labels: { app: "vm" } },
    }),
    // Both without an address: the one is behind a gateway, and to the other nothing leads.
    istio("WorkloadEntry", "vm", { network: "machines", labels: { app: "vm" }, serviceAccount: "default" }),
    istio("WorkloadEntry", "lost", { network: "nowhere", labels: { app: "vm" }, serviceAccount: "default" }),
  ];
  const entry = (ip: string) =>
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "entry", namespace: "shop" },
      spec: { clusterIP: "10.96.3.3", externalIPs: [ip], ports: [{ name: "tls", port: 15443 }] },
    });
  const mesh = createSnapshotBuilder("cluster.local").build({
    objects: objectsOf(local.join("")),
    findings: [],
    remotes: [
      { cluster: "east", objects: objectsOf(entry("127.0.0.1")) },
      // Of the same name, where no network is said to be: it leads nowhere.
      { cluster: "west", objects: objectsOf(entry("127.0.0.66")) },
    ],
  });
  assert.deepEqual(mesh.findings, []);
  assert.deepEqual(mesh.networkGateways.get("machines"), [{ address: "127.0.0.1", port: beyond }]);
  const running = await startSidecars(t, identity, { caller: { mesh, pod: "caller.shop" } });
  const ask = (host: string) => get(running.port("caller", "0.0.0.0_80"), { headers: { host } });

  await t.test("a range of addresses is called beyond its network's gateway", async () => {
    const { status, body } = await ask(HOST);
    assert.deepEqual([status, body], [200, "far"]);
  });

  await t.test(
    "a WorkloadEntry without an address is called beyond its network's gateway, if there is one",
    async () => {
      for (let at = 0; at < 20; at++) {
        const { status, body } = await ask("vm.example.com");
        assert.deepEqual([status, body], [200, "far"]);
      }
    },
  );
});

test("a mesh of two networks whose gateway is Trysail's own", { skip: envoyMissing() }, async (t) => {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  const far = await startFar(t, identity);
  const web = service({ name: "web", ports: { http: 80 }, clusterIP: "10.96.3.1" });
  // Both control planes know both clusters, each from where it is.
  const east = (port: number) => [
    systemNamespace("there"),
    web,
    pod({ name: "web-0", ip: "127.0.0.1", labels: { app: "web" }, tls: true }),
    endpoint("web", { name: "web-0", ip: "127.0.0.1" }, { http: far }),
    pod({ name: "eastwest-0", ip: "127.0.0.61", labels: { istio: "eastwest", "topology.istio.io/network": "there" } }),
    istio("Gateway", "cross", {
      selector: { istio: "eastwest" },
      servers: [
        {
          port: { number: 15443, name: "tls", protocol: "TLS" },
          hosts: ["*.local"],
          tls: { mode: "AUTO_PASSTHROUGH" },
        },
      ],
    }),
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: {
        name: "eastwest",
        namespace: "shop",
        labels: { "topology.istio.io/network": "there", "networking.istio.io/gatewayPort": String(port) },
      },
      spec: { clusterIP: "10.96.3.2", externalIPs: ["127.0.0.1"], ports: [{ name: "tls", port }] },
    }),
  ];
  const caller = [systemNamespace("here"), web, pod({ name: "caller", ip: "127.0.0.100", labels: { app: "caller" } })];
  const home = [
    ...caller,
    // Behind a gateway of its own: the one in the east must not send anything there.
    pod({ name: "web-0", ip: "127.0.0.77", labels: { app: "web" }, tls: true }),
    endpoint("web", { name: "web-0", ip: "127.0.0.77" }, { http: 1 }),
  ];
  const meshOf = (name: string, own: string[], other: { cluster: string; objects: string[] }) =>
    createSnapshotBuilder("cluster.local", { cluster: name }).build({
      objects: objectsOf(own.join("")),
      findings: [],
      remotes: [{ cluster: other.cluster, objects: objectsOf(other.objects.join("")) }],
    });
  const gate = await startSidecars(t, identity, {
    gate: {
      mesh: meshOf("east", east(15443), { cluster: "home", objects: home }),
      pod: "eastwest-0.shop",
      type: "router",
    },
  });
  const port = gate.port("gate", "0.0.0.0_15443");
  const running = await startSidecars(t, identity, {
    caller: { mesh: meshOf("home", caller, { cluster: "east", objects: east(port) }), pod: "caller.shop" },
  });
  for (let at = 0; at < 20; at++) {
    const { status, body } = await get(running.port("caller", "0.0.0.0_80"), { headers: { host: HOST } });
    assert.deepEqual([status, body], [200, "far"]);
  }
});

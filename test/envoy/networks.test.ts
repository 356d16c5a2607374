import assert from "node:assert/strict";
import { createServer } from "node:https";
import { type TestContext, test } from "node:test";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { type CallerIdentity, get, identityOf } from "../support/caller.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { document, endpoint, pod, service } from "../support/manifests.ts";
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
async function startGateway(t: TestContext, port: number) {
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
          name: CLUSTER,
          type: "STATIC",
          load_assignment: {
            cluster_name: CLUSTER,
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

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createSnapshotBuilder } from "../../src/mesh/snapshot.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { get, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { endpoint, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { objectsOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** Routing by the cluster that a caller or an endpoint is in, asked of a real Envoy. */

const CLUSTER = "topology.istio.io/cluster";
const hostOf = (name: string) => `${name}.shop.svc.cluster.local`;
const outlierDetection = {
  consecutive5xxErrors: 1,
  interval: "0.1s",
  // Long enough to be seen, also by a test that stands still for a moment.
  baseEjectionTime: "3s",
  maxEjectionPercent: 100,
};

async function startMesh(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  const home = await startUpstream(t, "home", "127.0.0.101");
  const east = await startUpstream(t, "east", "127.0.0.102");
  const names = ["split", "stays", "prefers", "relabelled", "shared", "kept"];
  const services = names.map((name, at) => service({ name, ports: { http: 80 }, clusterIP: `10.96.4.${at + 1}` }));
  const backends = (upstream: Upstream, labels = {}) =>
    names.flatMap((name) => [
      pod({ name: `${name}-0`, ip: upstream.ip, labels: { app: name, ...labels } }),
      endpoint(name, { name: `${name}-0`, ip: upstream.ip }, { http: upstream.port }),
    ]);
  const byCluster = (name: string) =>
    istio("DestinationRule", name, {
      host: hostOf(name),
      subsets: ["home", "east"].map((cluster) => ({ name: cluster, labels: { [CLUSTER]: cluster } })),
    });
  const route = (name: string, subset: string) => ({ route: [{ destination: { host: hostOf(name), subset } }] });
  const local = [
    meshConfig(`serviceSettings: [{ settings: { clusterLocal: true }, hosts: [${hostOf("kept")}] }]`),
    ...services,
    pod({ name: "caller", ip: "127.0.0.100", labels: { app: "caller" } }),
    ...backends(home),
    byCluster("split"),
    istio("VirtualService", "split", {
      hosts: [hostOf("split")],
      http: [
        { match: [{ headers: { "x-to": { exact: "east" } } }], ...route("split", "east") },
        route("split", "home"),
      ],
    }),
    byCluster("stays"),
    istio("VirtualService", "stays", {
      hosts: [hostOf("stays")],
      http: [
        { match: [{ sourceLabels: { [CLUSTER]: "east" } }], ...route("stays", "east") },
        { match: [{ sourceLabels: { [CLUSTER]: "home", app: "caller" } }], ...route("stays", "home") },
      ],
    }),
    istio("DestinationRule", "prefers", {
      host: hostOf("prefers"),
      trafficPolicy: {
        outlierDetection,
        loadBalancer: { localityLbSetting: { failoverPriority: [CLUSTER] } },
      },
    }),
    byCluster("relabelled"),
    istio("VirtualService", "relabelled", { hosts: [hostOf("relabelled")], http: [route("relabelled", "east")] }),
  ];
  const mesh = createSnapshotBuilder("cluster.local", { cluster: "home" }).build({
    objects: objectsOf(local.join("")),
    findings: [],
    // Its pods claim to be at home.
    remotes: [
      { cluster: "east", objects: objectsOf([...services, ...backends(east, { [CLUSTER]: "home" })].join("")) },
    ],
  });
  const running = await startSidecars(t, identity, {
    home: { mesh, pod: "caller.shop" },
  });
  return async (name: string, { path = "/", headers = {} } = {}) =>
    get(running.port("home", "0.0.0.0_80"), { path, headers: { host: hostOf(name), ...headers } });
}

test("a service of two clusters", { skip: envoyMissing() }, async (t) => {
  const ask = await startMesh(t);
  const reached = async (name: string, headers = {}) => {
    const found = new Set<string>();
    for (let at = 0; at < 30; at++) {
      const { status, body } = await ask(name, { headers });
      assert.equal(status, 200, body);
      found.add(JSON.parse(body).upstream);
    }
    return [...found].sort();
  };

  await t.test("has subsets by the cluster that its endpoints are in", async () => {
    assert.deepEqual(await reached("split", { "x-to": "east" }), ["east"]);
    assert.deepEqual(await reached("split"), ["home"]);
  });

  await t.test("is called in both, unless the mesh config's serviceSettings keep it in each cluster", async () => {
    assert.deepEqual(await reached("shared"), ["east", "home"]);
    assert.deepEqual(await reached("kept"), ["home"]);
  });

  await t.test("is kept in the caller's cluster by sourceLabels that name it", async () => {
    assert.deepEqual(await reached("stays"), ["home"]);
  });

  await t.test("is called in another cluster only where it fails in the caller's own", async () => {
    assert.deepEqual(await reached("prefers"), ["home"]);
    assert.equal((await ask("prefers", { path: "/status/500/1/prefers" })).status, 500);
    await until("the other cluster", async () => JSON.parse((await ask("prefers")).body).upstream === "east");
    await until("its own again", async () => JSON.parse((await ask("prefers")).body).upstream === "home");
  });

  await t.test("is where its cluster's Secret says, whatever its pods' labels claim", async () => {
    assert.deepEqual(await reached("relabelled"), ["east"]);
  });
});

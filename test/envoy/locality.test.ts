import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { get, identityOf } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { document, istio, meshConfig, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { until } from "../support/until.ts";
import { startUpstream } from "../support/upstream.ts";

/** Which of a service's endpoints a caller is sent to, by where both are, asked of a real Envoy. */

const places = { near: "east/one/a", beside: "east/two/a", away: "west/one/a" } as const;
type Place = keyof typeof places;

async function startMesh(t: TestContext, { settings = "{}", callerLabels = {} } = {}) {
  const authority = await temporaryAuthority(t, systemClock);
  const identity = await identityOf(authority, { namespace: "shop", serviceAccount: "default" });
  const upstreams = {
    near: await startUpstream(t, "near", "127.0.0.101"),
    beside: await startUpstream(t, "beside", "127.0.0.102"),
    away: await startUpstream(t, "away", "127.0.0.103"),
  };
  const all: readonly Place[] = ["near", "beside", "away"];
  const networks: Record<Place, string> = { near: "n1", beside: "n2", away: "n1" };
  const entry = (name: string, policy: object | null, labels: Partial<Record<Place, object>> = {}) =>
    istio("ServiceEntry", name, {
      hosts: [`${name}.example.com`],
      location: "MESH_INTERNAL",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: all.map((place) => ({
        address: upstreams[place].ip,
        ports: { http: upstreams[place].port },
        locality: places[place],
        network: networks[place],
        labels: labels[place] ?? {},
      })),
    }) +
    (policy === null ? "" : istio("DestinationRule", name, { host: `${name}.example.com`, trafficPolicy: policy }));
  const outlierDetection = {
    consecutive5xxErrors: 1,
    interval: "0.1s",
    // Long enough to be seen, also by a test that stands still for a moment.
    baseEjectionTime: "3s",
    maxEjectionPercent: 100,
  };
  const localityLb = (localityLbSetting: object) => ({ loadBalancer: { localityLbSetting } });
  const onNodes = (name: string, spec: object) =>
    service({ name, ports: { http: 80 }, clusterIP: "10.96.3.1", spec }) +
    document({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "http", port: upstreams.near.port }],
      endpoints: [{ addresses: [upstreams.near.ip], nodeName: "node-near", zone: "one" }],
    }) +
    document({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${name}-2`, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "http", port: upstreams.away.port }],
      endpoints: [{ addresses: [upstreams.away.ip], nodeName: "node-away", zone: "two" }],
    });
  const distributed = (name: string, trafficDistribution: string, from: readonly Place[] = all) =>
    service({ name, ports: { http: 80 }, clusterIP: "10.96.3.2", spec: { trafficDistribution } }) +
    from
      .map((place) =>
        document({
          apiVersion: "discovery.k8s.io/v1",
          kind: "EndpointSlice",
          metadata: { name: `${name}-${place}`, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
          addressType: "IPv4",
          ports: [{ name: "http", port: upstreams[place].port }],
          endpoints: [{ addresses: [upstreams[place].ip], nodeName: `node-${place}` }],
        }),
      )
      .join("");
  const node = (name: string, region: string, zone: string) =>
    document({
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name,
        labels: {
          "topology.kubernetes.io/region": region,
          "topology.kubernetes.io/zone": zone,
          "topology.istio.io/subzone": "a",
        },
      },
    });
  const yaml = [
    meshConfig(settings),
    pod({
      name: "caller",
      ip: "127.0.0.100",
      labels: {
        app: "caller",
        version: "v2",
        "istio-locality": "east.one.a",
        ...callerLabels,
      },
      nodeName: "node-near",
    }),
    node("node-near", "east", "one"),
    node("node-beside", "east", "one"),
    node("node-away", "west", "two"),
    entry("anywhere", null),
    entry("failover", { outlierDetection }),
    // Both are far from the caller, in the east.
    ...["elsewhere", "told-where"].map(
      (name) =>
        istio("ServiceEntry", name, {
          hosts: [`${name}.example.com`],
          location: "MESH_INTERNAL",
          ports: [{ number: 80, name: "http", protocol: "HTTP" }],
          resolution: "STATIC",
          endpoints: [
            { address: upstreams.beside.ip, ports: { http: upstreams.beside.port }, locality: "north/one/a" },
            { address: upstreams.away.ip, ports: { http: upstreams.away.port }, locality: places.away },
          ],
        }) +
        istio("DestinationRule", name, {
          host: `${name}.example.com`,
          trafficPolicy: {
            outlierDetection,
            ...(name === "told-where" ? localityLb({ failover: [{ from: "east", to: "north" }] }) : {}),
          },
        }),
    ),
    ...["local-retries", "remote-retries"].map(
      (name) =>
        entry(name, { outlierDetection: { ...outlierDetection, consecutive5xxErrors: 100 } }) +
        istio("VirtualService", name, {
          hosts: [`${name}.example.com`],
          http: [
            {
              route: [{ destination: { host: `${name}.example.com` } }],
              retries: { attempts: 3, retryOn: "503", retryRemoteLocalities: name === "remote-retries" },
            },
          ],
        }),
    ),
    entry("switched-off", { outlierDetection, ...localityLb({ enabled: false }) }),
    entry("shares", {
      ...localityLb({ distribute: [{ from: "east/one/*", to: { "east/one/*": 70, "east/two/*": 30 } }] }),
    }),
    ...["ringHash", "maglev"].map((kind) =>
      entry(`hashed-${kind.toLowerCase()}`, {
        loadBalancer: {
          consistentHash: { httpHeaderName: "x-user", [kind]: {} },
          localityLbSetting: { distribute: [{ from: "east/*", to: { "east/two/*": 100 } }] },
        },
      }),
    ),
    entry(
      "by-labels",
      { outlierDetection, ...localityLb({ failoverPriority: ["version"] }) },
      { near: { version: "v1" }, beside: { version: "v1" }, away: { version: "v2" } },
    ),
    entry("by-network", { outlierDetection, ...localityLb({ failoverPriority: ["topology.istio.io/network"] }) }),
    onNodes("same-node", { internalTrafficPolicy: "Local" }),
    onNodes("close", { trafficDistribution: "PreferClose" }),
    onNodes("sticky", { sessionAffinity: "ClientIP" }),
    distributed("in-zone", "PreferSameZone"),
    distributed("on-node", "PreferSameNode"),
    distributed("off-node", "PreferSameNode", ["beside", "away"]),
    distributed("unknown-wish", "PreferMoon"),
  ].join("");
  const mesh = meshOf(yaml);
  const running = await startSidecars(t, identity, { caller: { mesh, pod: "caller.shop" } });
  const ask = (host: string, path = "/") =>
    get(running.port("caller", "0.0.0.0_80"), {
      path,
      headers: { host: host.includes(".") ? host : `${host}.example.com` },
    });
  const answers = async (host: string, count: number) => {
    const found = new Map<string, number>();
    for (let i = 0; i < count; i++) {
      const { upstream } = JSON.parse((await ask(host)).body);
      found.set(upstream, (found.get(upstream) ?? 0) + 1);
    }
    return found;
  };
  /** Of three, one is missed about once in 10^10 times. */
  const reached = async (host: string, count = 60) => [...(await answers(host, count)).keys()].sort();
  return { ask, answers, reached, upstreams };
}

test("callers are sent to endpoints by where both are", { skip: envoyMissing() }, async (t) => {
  const { ask, answers, reached, upstreams } = await startMesh(t);

  await t.test("without outlier detection, or where locality is switched off, everywhere", async () => {
    for (const host of ["anywhere", "switched-off"])
      assert.deepEqual(await reached(host), ["away", "beside", "near"], host);
  });

  await t.test("the nearest first, the next where that fails, and back again", async () => {
    assert.deepEqual(await reached("failover"), ["near"]);
    assert.equal((await ask("failover", "/status/500/1/failover")).status, 500);
    await until("the next place", async () => JSON.parse((await ask("failover")).body).upstream === "beside");
    await until("the nearest again", async () => JSON.parse((await ask("failover")).body).upstream === "near");
  });

  await t.test("to another region as failover says, else to any", async () => {
    assert.deepEqual(await reached("told-where"), ["beside"]);
    assert.deepEqual(await reached("elsewhere"), ["away", "beside"]);
  });

  await t.test("retryRemoteLocalities: retries go farther where the nearest fails, else stay there", async () => {
    const tried = async (host: string) => {
      const path = `/status/503/9/${host}`;
      assert.equal((await ask(host, path)).status, 503);
      return [upstreams.near.count(path), upstreams.beside.count(path) + upstreams.away.count(path)];
    };
    assert.deepEqual(await tried("local-retries"), [4, 0]);
    assert.deepEqual(await tried("remote-retries"), [2, 2]);
  });

  await t.test("by shares, within five standard deviations, and nothing where none is", async () => {
    const found = await answers("shares", 300);
    assert.deepEqual([...found.keys()].sort(), ["beside", "near"]);
    const bound = 5 * Math.sqrt(300 * 0.3 * 0.7);
    assert.ok(Math.abs((found.get("beside") ?? 0) - 90) < bound, JSON.stringify([...found]));
  });

  await t.test("by shares first, and by consistentHash within one place", async () => {
    for (const host of ["hashed-ringhash", "hashed-maglev"]) assert.deepEqual(await reached(host), ["beside"], host);
  });

  await t.test("by labels that both share", async () => assert.deepEqual(await reached("by-labels"), ["away"]));

  await t.test("a Service may keep calls on their node, or near it, or each caller with one endpoint", async () => {
    assert.deepEqual(await reached("same-node.shop"), ["near"]);
    assert.deepEqual(await reached("close.shop"), ["near"]);
    assert.equal((await reached("sticky.shop")).length, 1);
  });

  await t.test("trafficDistribution: of the caller's zone, or of its node where that has any", async () => {
    assert.deepEqual(await reached("in-zone.shop"), ["beside", "near"]);
    assert.deepEqual(await reached("on-node.shop"), ["near"]);
    assert.deepEqual(await reached("off-node.shop"), ["beside"]);
    assert.deepEqual(await reached("unknown-wish.shop"), ["away", "beside", "near"]);
  });
});

test("callers are sent to endpoints by the network that both are in", { skip: envoyMissing() }, async (t) => {
  const { reached } = await startMesh(t, { callerLabels: { "topology.istio.io/network": "n2" } });
  assert.deepEqual(await reached("by-network"), ["beside"]);
});

test("the mesh config's localityLbSetting holds where no rule has one of its own", {
  skip: envoyMissing(),
}, async (t) => {
  const distribute = "localityLbSetting: { distribute: [{ from: east/*, to: { west/*: 100 } }] }";
  const shared = await startMesh(t, { settings: distribute });
  assert.deepEqual(await shared.reached("anywhere"), ["away"]);
  assert.deepEqual(await shared.reached("sticky.shop"), ["away"]);
  assert.deepEqual(await shared.reached("shares"), ["beside", "near"], "its rule's own");
  const off = await startMesh(t, { settings: "localityLbSetting: { enabled: false }" });
  assert.deepEqual(await off.reached("failover"), ["away", "beside", "near"]);
});

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { document, istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startUpstream, startUpstreamAtSocket, type Upstream } from "../support/upstream.ts";

/** Which addresses are a service's, and which of them get requests, asked of a real Envoy. */

interface Listed {
  readonly upstream: Upstream;
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
  readonly forZones?: readonly string[];
}

/** A slice of addresses that belong to no pod. */
function slice(name: string, port: number, endpoints: readonly Listed[]): string {
  return document({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-${port}`, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", port }],
    endpoints: endpoints.map(({ upstream, conditions = {}, forZones = [] }) => ({
      addresses: [upstream.ip],
      conditions,
      ...(forZones.length === 0 ? {} : { hints: { forZones: forZones.map((name) => ({ name })) } }),
    })),
  });
}

async function startMesh(t: TestContext) {
  const one = await startUpstream(t, "one", "127.0.0.111");
  const two = await startUpstream(t, "two", "127.0.0.112");
  const beside = await startUpstream(t, "beside", one.ip);
  const locals = [await startUpstream(t, "local-one"), await startUpstream(t, "local-two")];
  let clusterIps = 0;
  const listed = (name: string, endpoints: readonly Listed[], spec: object = {}) =>
    service({ name, ports: { http: 80 }, clusterIP: `10.96.5.${++clusterIps}`, spec }) +
    endpoints.map((each) => slice(name, each.upstream.port, [each])).join("");
  const unready = { ready: false };
  const ending = { ready: false, serving: true, terminating: true };
  const ended = { ready: false, serving: false, terminating: true };
  const weighed = (name: string, weights: readonly [number, number]) =>
    istio("ServiceEntry", name, {
      hosts: [`${name}.example.com`],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [one, two].map(({ ip, port }, at) => ({ address: ip, ports: { http: port }, weight: weights[at] })),
    });
  const yaml = [
    pod({ name: "caller", ip: "127.0.0.110", nodeName: "node-one" }),
    document({
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name: "node-one",
        labels: { "topology.kubernetes.io/region": "east", "topology.kubernetes.io/zone": "zone-one" },
      },
    }),
    listed("ready-only", [{ upstream: one }, { upstream: two, conditions: unready }]),
    listed("published", [{ upstream: one }, { upstream: two, conditions: unready }], {
      publishNotReadyAddresses: true,
    }),
    listed("ending", [{ upstream: one, conditions: ending }, { upstream: two }]),
    listed("published-ended", [{ upstream: one, conditions: ended }, { upstream: two }], {
      publishNotReadyAddresses: true,
    }),
    listed("outside", [{ upstream: one }], { externalIPs: ["192.0.2.7"] }),
    listed("hinted", [
      { upstream: one, forZones: ["zone-one"] },
      { upstream: two, forZones: ["zone-two"] },
    ]),
    listed("hinted-elsewhere", [{ upstream: two, forZones: ["zone-two"] }]),
    // As one for a machine outside of the cluster: no selector, and a slice by hand.
    document({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "by-hand", namespace: "shop" },
      spec: { clusterIP: "10.96.6.1", ports: [{ name: "http", port: 80 }] },
    }),
    slice("by-hand", two.port, [{ upstream: two }]),
    listed("on-node", [{ upstream: one }, { upstream: beside }]),
    ...[
      { name: "one-address", resolution: "STATIC", address: one.ip },
      { name: "one-name", resolution: "DNS", address: "localhost" },
    ].map(({ name, resolution, address }) =>
      istio("ServiceEntry", name, {
        hosts: [`${name}.example.com`],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution,
        endpoints: (address === one.ip ? [one, beside] : locals).map(({ port }) => ({
          address,
          ports: { http: port },
        })),
      }),
    ),
    weighed("weighed", [3, 1]),
    istio("ServiceEntry", "socket", {
      hosts: ["socket.example.com"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: `unix://${await startUpstreamAtSocket(t, "socket")}` }],
    }),
    istio("ServiceEntry", "machines", {
      hosts: ["machines.example.com"],
      location: "MESH_INTERNAL",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      workloadSelector: { labels: { app: "machine" } },
    }),
    ...[one, two].map(({ ip, port }, at) =>
      istio("WorkloadEntry", `machine-${at}`, {
        address: ip,
        ports: { http: port },
        labels: { app: "machine" },
        weight: at === 0 ? 3 : 1,
      }),
    ),
  ].join("");
  const running = await startSidecars(t, placeholderIdentity(), { caller: { mesh: meshOf(yaml), pod: "caller.shop" } });
  /** How many of so many requests each upstream answered. */
  return async (host: string, count = 20) => {
    const answers = new Map<string, number>();
    for (let i = 0; i < count; i++) {
      const { status, body } = await get(running.port("caller", "0.0.0.0_80"), { headers: { host } });
      assert.equal(status, 200, body);
      const { upstream } = JSON.parse(body);
      answers.set(upstream, (answers.get(upstream) ?? 0) + 1);
    }
    return answers;
  };
}

test("requests go to the addresses that a service has, and no other", { skip: envoyMissing() }, async (t) => {
  const answers = await startMesh(t);
  const reached = async (host: string, count?: number) => [...(await answers(host, count)).keys()].sort();

  await t.test("those that are not ready get none, unless publishNotReadyAddresses asks for it", async () => {
    assert.deepEqual(await reached("ready-only"), ["one"]);
    assert.deepEqual(await reached("published", 60), ["one", "two"]);
  });

  await t.test("those that are terminating get none, serving or not, published or not", async () => {
    assert.deepEqual(await reached("ending"), ["two"]);
    assert.deepEqual(await reached("published-ended"), ["two"]);
  });

  await t.test("externalIPs are names of the service", async () => {
    assert.deepEqual(await reached("192.0.2.7"), ["one"]);
  });

  await t.test("topology hints: those for the caller's zone, and others' where it has none", async () => {
    assert.deepEqual(await reached("hinted"), ["one"]);
    assert.deepEqual(await reached("hinted-elsewhere"), ["two"]);
  });

  await t.test("a Service without a selector has the addresses of its slices", async () => {
    assert.deepEqual(await reached("by-hand"), ["two"]);
  });

  await t.test("several endpoints may share an address, as pods in their node's network do, and a name", async () => {
    assert.deepEqual(await reached("on-node", 60), ["beside", "one"]);
    assert.deepEqual(await reached("one-address.example.com", 60), ["beside", "one"]);
    assert.deepEqual(await reached("one-name.example.com", 60), ["local-one", "local-two"]);
  });

  await t.test("a ServiceEntry's endpoint may be a socket", async () => {
    assert.deepEqual(await reached("socket.example.com"), ["socket"]);
  });

  for (const [whose, host] of [
    ["a ServiceEntry's endpoints", "weighed.example.com"],
    ["WorkloadEntries", "machines.example.com"],
  ] as const) {
    await t.test(`weights of ${whose} are kept within five standard deviations`, async () => {
      const found = await answers(host, 400);
      const light = found.get("two") ?? 0;
      assert.ok(Math.abs(light - 100) < 5 * Math.sqrt(400 * 0.25 * 0.75), `${light} of 400`);
    });
  }
});

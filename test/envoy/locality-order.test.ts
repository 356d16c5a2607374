import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { placeholderIdentity } from "../../src/ca/serving/placeholder-identity.ts";
import { get } from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { gateway } from "../support/gateway.ts";
import { document, istio, meshConfig, pod } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startUpstream } from "../support/upstream.ts";

/** What goes before what where several settings say which endpoints are nearer, asked of a real Envoy in the east. */

const outlierDetection = { consecutive5xxErrors: 100 };
const ANNOTATION = "networking.istio.io/traffic-distribution";

interface Entry {
  readonly annotation?: string;
  readonly namespace?: string;
  readonly policy?: object;
  readonly endpoints: readonly object[];
}

/** A ServiceEntry `NAME.example.com`, and its rule. */
function entry(name: string, { annotation, namespace = "shop", policy, endpoints }: Entry): string {
  const host = `${name}.example.com`;
  const spec = {
    hosts: [host],
    location: "MESH_INTERNAL",
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints,
  };
  const annotations = annotation === undefined ? {} : { [ANNOTATION]: annotation };
  return (
    document({
      apiVersion: "networking.istio.io/v1",
      kind: "ServiceEntry",
      metadata: { name, namespace, annotations },
      spec,
    }) + (policy === undefined ? "" : istio("DestinationRule", name, { host, trafficPolicy: policy }, namespace))
  );
}

async function startMesh(t: TestContext, settings: string) {
  const upstreams = {
    near: await startUpstream(t, "near", "127.0.0.104"),
    far: await startUpstream(t, "far", "127.0.0.105"),
    farther: await startUpstream(t, "farther", "127.0.0.106"),
  };
  const at = (upstream: keyof typeof upstreams, locality: string, more: object = {}) => ({
    address: upstreams[upstream].ip,
    ports: { http: upstreams[upstream].port },
    locality,
    ...more,
  });
  const both = [at("near", "east/one"), at("far", "west/one")];
  const byZone = { annotation: "PreferSameZone", endpoints: both };
  const locality = (localityLbSetting: object) => ({ outlierDetection, loadBalancer: { localityLbSetting } });
  const labels = (tier: string) => ({ labels: { tier } });
  const yaml = [
    meshConfig(settings),
    pod({ name: "caller", ip: "127.0.0.107", labels: { "istio-locality": "east.one", tier: "gold" } }),
    document({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "close", annotations: { [ANNOTATION]: "prefersamezone" } },
    }),
    entry("silent", { endpoints: both }),
    entry("annotated", byZone),
    entry("detecting", { ...byZone, policy: { outlierDetection } }),
    entry("ruled", { ...byZone, policy: locality({ enabled: false }) }),
    entry("of-namespace", { namespace: "close", endpoints: both }),
    entry("unlike-namespace", { namespace: "close", annotation: "PreferMoon", endpoints: both }),
    // By labels first, and by regions among equals.
    entry("both-orders", {
      policy: locality({ failoverPriority: ["tier"], failover: [{ from: "east", to: "north" }] }),
      endpoints: [
        at("near", "east/one", labels("tin")),
        at("far", "north/one", labels("gold")),
        at("farther", "west/one", labels("gold")),
      ],
    }),
    entry("labels-alone", {
      policy: locality({ failoverPriority: ["tier"] }),
      endpoints: [at("far", "north/one", labels("gold")), at("farther", "west/one", labels("gold"))],
    }),
    // None on the caller's network, and one that is near nonetheless.
    entry("other-network", {
      policy: locality({ failoverPriority: ["topology.istio.io/network", "topology.kubernetes.io/region"] }),
      endpoints: [at("near", "east/two", { network: "n2" }), at("far", "west/one", { network: "n2" })],
    }),
    entry("weighed", {
      policy: locality({ distribute: [{ from: "east", to: { "*": 100 } }] }),
      endpoints: [at("near", "east/one", { weight: 3 }), at("far", "west/one")],
    }),
    pod({
      name: "edge",
      namespace: "ingress",
      ip: "127.0.0.108",
      labels: { istio: "ingress", "istio-locality": "west.one" },
    }),
    gateway("public", [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }]),
    ...["silent", "annotated", "detecting"].map((name) =>
      istio("VirtualService", name, {
        hosts: [`${name}.example.com`],
        gateways: ["ingress/public"],
        http: [{ route: [{ destination: { host: `${name}.example.com` } }] }],
      }),
    ),
  ].join("");
  const mesh = meshOf(yaml);
  const callers = {
    caller: { mesh, pod: "caller.shop" },
    edge: { mesh, pod: "edge.ingress", type: "router" },
  } as const;
  const running = new Map<string, number>();
  for (const [name, caller] of Object.entries(callers)) {
    const { port } = await startSidecars(t, placeholderIdentity(), { [name]: caller });
    running.set(name, port(name, "0.0.0.0_80"));
  }
  const answers = async (name: string, count: number, by: keyof typeof callers = "caller") => {
    const found: string[] = [];
    for (let i = 0; i < count; i++) {
      const { body } = await get(running.get(by) ?? 0, { headers: { host: `${name}.example.com` } });
      found.push(JSON.parse(body).upstream);
    }
    return found;
  };
  const reached = async (name: string, by?: keyof typeof callers) => [...new Set(await answers(name, 40, by))].sort();
  return { answers, reached };
}

test("of several settings for where endpoints are, one goes before the others", { skip: envoyMissing() }, async (t) => {
  const { answers, reached } = await startMesh(t, "{}");

  await t.test("trafficDistribution needs no outlierDetection, and stays where a rule has that alone", async () => {
    assert.deepEqual(await reached("silent"), ["far", "near"]);
    assert.deepEqual(await reached("annotated"), ["near"]);
    assert.deepEqual(await reached("detecting"), ["near"]);
  });

  await t.test("localityLbSetting of a rule goes before trafficDistribution", async () => {
    assert.deepEqual(await reached("ruled"), ["far", "near"]);
  });

  await t.test("trafficDistribution of a namespace is for what has none of its own", async () => {
    assert.deepEqual(await reached("of-namespace"), ["near"]);
    assert.deepEqual(await reached("unlike-namespace"), ["far", "near"]);
  });

  await t.test("failoverPriority goes before failover, which tells apart what is equal by labels", async () => {
    assert.deepEqual(await reached("both-orders"), ["far"]);
    assert.deepEqual(await reached("labels-alone"), ["far", "farther"]);
  });

  await t.test("failoverPriority: behind a network that nobody shares, the other labels go on", async () => {
    assert.deepEqual(await reached("other-network"), ["near"]);
  });

  await t.test("distribute: places below one pattern share by the weights of their endpoints", async () => {
    const far = (await answers("weighed", 400)).filter((name) => name === "far").length;
    assert.ok(Math.abs(far - 100) < 5 * Math.sqrt(400 * 0.25 * 0.75), `${far} of 400`);
  });

  await t.test("a gateway is sent to what is near to itself", async () => {
    assert.deepEqual(await reached("silent", "edge"), ["far", "near"]);
    assert.deepEqual(await reached("annotated", "edge"), ["far"]);
    assert.deepEqual(await reached("detecting", "edge"), ["far"]);
  });
});

test("trafficDistribution goes before the mesh config's localityLbSetting", { skip: envoyMissing() }, async (t) => {
  const { reached } = await startMesh(t, "localityLbSetting: { distribute: [{ from: east, to: { west: 100 } }] }");
  assert.deepEqual(await reached("silent"), ["far"]);
  assert.deepEqual(await reached("annotated"), ["near"]);
});

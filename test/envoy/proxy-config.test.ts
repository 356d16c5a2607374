import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { injectedInMesh, startInjectedEnvoy } from "../support/injected-envoy.ts";
import { config } from "../support/injected-pod.ts";
import { document, meshConfig } from "../support/manifests.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";

/** What ProxyConfigs and the mesh config say of proxies, seen at the real Envoy of a pod that the webhook injected. */

const skip = netnsMissing() || envoyMissing();

const proxyConfig = (namespace: string, name: string, spec: object) =>
  document({ apiVersion: "networking.istio.io/v1beta1", kind: "ProxyConfig", metadata: { namespace, name }, spec });

/** Envoy's own account of itself. */
interface ServerInfo {
  readonly command_line_options: { readonly concurrency: number; readonly drain_time: string };
  readonly node: { readonly cluster: string; readonly metadata: Readonly<Record<string, unknown>> };
}

async function serverInfo(t: TestContext, pod: ReturnType<typeof injectedInMesh>): Promise<ServerInfo> {
  const network = await createTestNetwork(t);
  const envoy = await startInjectedEnvoy(t, network.pod, pod);
  return JSON.parse(await envoy.admin("/server_info"));
}

test("ProxyConfigs hold at the proxies that they select, over defaultConfig, the narrower over the wider", {
  skip,
}, async (t) => {
  const mesh = [
    meshConfig("defaultConfig: { concurrency: 1, drainDuration: 20s, proxyMetadata: { ISTIO_META_A: mesh } }"),
    proxyConfig("istio-system", "all", { concurrency: 2, environmentVariables: { ISTIO_META_B: "all" } }),
    proxyConfig("shop", "shop", { environmentVariables: { ISTIO_META_B: "shop", ISTIO_META_C: "shop" } }),
    proxyConfig("shop", "web", { selector: { matchLabels: { app: "web" } }, concurrency: 3 }),
    proxyConfig("elsewhere", "other", { concurrency: 7 }),
  ].join("");
  const web = await serverInfo(t, injectedInMesh(mesh, {}, { app: "web" }));
  assert.equal(web.command_line_options.concurrency, 3);
  assert.equal(web.command_line_options.drain_time, "20s", "what no ProxyConfig says is defaultConfig's");
  const { A, B, C } = web.node.metadata;
  assert.deepEqual([A, B, C], ["mesh", "shop", "shop"]);

  const annotated = injectedInMesh(mesh, config("concurrency: 4"), { app: "other" });
  assert.equal((await serverInfo(t, annotated)).command_line_options.concurrency, 4, "the pod's own goes before all");
  const other = injectedInMesh(mesh, {}, { app: "other" });
  assert.equal((await serverInfo(t, other)).command_line_options.concurrency, 2);
});

test("image of a ProxyConfig: another Envoy runs", () => {
  const all = proxyConfig("shop", "shop", { image: { imageType: "distroless" } });
  const images = [injectedInMesh(all), injectedInMesh("")].map(({ spec }) =>
    [...(spec.initContainers ?? []), ...spec.containers].map((container) => Reflect.get(container, "image")),
  );
  assert.notDeepEqual(images[0], images[1]);
  assert.match(String(images[0]), /envoy[^,]*distroless/);
});

test("enablePrometheusMerge: the pod's annotations lead to proxy and app together, or to the app as they did", {
  skip,
}, async (t) => {
  const annotations = {
    "prometheus.io/port": "8080",
    // Else the proxy would have to take the scrape, which no control plane tells it to here.
    "traffic.sidecar.istio.io/excludeInboundPorts": "8080",
  };
  for (const [mesh, port, has] of [
    ["", "15020", { orders: true, proxy: true }],
    [meshConfig("enablePrometheusMerge: false"), "8080", { orders: true, proxy: false }],
  ] as const) {
    const pod = injectedInMesh(mesh, annotations);
    const found = pod.metadata?.annotations ?? {};
    assert.equal(found["prometheus.io/port"], port);
    const network = await createTestNetwork(t);
    await startApp(network.pod);
    await startInjectedEnvoy(t, network.pod, pod);
    const url = `http://${network.pod.ipv4}:${port}${found["prometheus.io/path"] ?? "/metrics"}`;
    const text = await network.machine.run("curl", ["-sf", "--retry", "5", "--retry-connrefused", url]);
    assert.deepEqual({ orders: /^orders_total 7$/m.test(text), proxy: /^envoy_server_live\b/m.test(text) }, has);
  }
});

async function startApp(pod: TestHost): Promise<void> {
  const server = `
    require("node:http").createServer((_, response) => {
      response.end("# TYPE orders_total counter\\norders_total 7\\n");
    }).listen(8080, "0.0.0.0", () => console.log("up"));`;
  const { stdout } = pod.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /up/);
}

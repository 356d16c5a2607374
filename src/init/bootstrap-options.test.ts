import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { bootstrapInput } from "../../test/support/bootstrap-input.ts";
import { envoyMissing, startEnvoy, validateConfig } from "../../test/support/envoy.ts";
import { until } from "../../test/support/until.ts";
import { type BootstrapInput, buildBootstrap, printBootstrap } from "./bootstrap.ts";
import { type BootstrapConfig, parseBootstrapConfig } from "./bootstrap-config.ts";
import { mergeBootstrap } from "./merge-bootstrap.ts";

const skip = envoyMissing();

const everything: BootstrapConfig = {
  proxyStatsMatcher: {
    inclusionPrefixes: ["cluster.outbound"],
    inclusionSuffixes: ["upstream_rq_timeout"],
    inclusionRegexps: [".*circuit_breakers.*"],
  },
  statsEvictionInterval: "5m",
  runtimeValues: {
    "envoy.deprecated_features.allow_deprecated_extension_names": "false",
    "upstream.healthy_panic_threshold": "0",
  },
  statsdUdpAddress: "10.0.0.9:8125",
  envoyMetricsService: { address: "metrics.observe:15000", tlsSettings: { mode: "ISTIO_MUTUAL" } },
  envoyAccessLogService: { address: "logs.observe:15000", tlsSettings: { mode: "SIMPLE", insecureSkipVerify: true } },
  tracing: { zipkin: { address: "zipkin.observe:9411" }, sampling: 5 },
};

for (const [title, proxyConfig] of Object.entries({
  "every field of ProxyConfig that the bootstrap has": everything,
  "Datadog traces": { tracing: { datadog: { address: "datadog.observe:8126" } } },
})) {
  test(`Envoy accepts ${title}, and a memory limit`, { skip }, async () => {
    // Envoy reads the file with the certificates even then; any file is good enough.
    const bootstrap = buildBootstrap(input({ proxyConfig, memoryLimitBytes: 2 ** 30 }));
    assert.equal(await validateConfig(bootstrap), null);
  });
}

test("each report goes to a cluster with Istio's name", () => {
  const { staticResources, statsSinks, tracing } = buildBootstrap(input({ proxyConfig: everything }));
  const names = staticResources?.clusters?.map(({ name }) => name);
  assert.deepEqual(names, ["agent", "prometheus_stats", "zipkin", "envoy_metrics_service", "envoy_accesslog_service"]);
  assert.deepEqual(
    statsSinks?.map(({ name }) => name),
    ["envoy.stat_sinks.statsd", "envoy.stat_sinks.metrics_service"],
  );
  assert.equal(tracing?.http?.name, "envoy.tracers.zipkin");
});

test("what the webhook writes is read whole, and what it would not is refused by field", () => {
  const json: JsonObject = JSON.parse(JSON.stringify(everything));
  const { sampling: _, ...tracing } = everything.tracing ?? {};
  const read: unknown = JSON.parse(JSON.stringify(parseBootstrapConfig(json, "PROXY_CONFIG")));
  assert.deepEqual(read, { ...everything, tracing });
  for (const [wrong, message] of [
    [{ serviceCluster: 1 }, "PROXY_CONFIG: field serviceCluster is not a text"],
    [{ tracing: { zipkin: { address: [] } } }, "PROXY_CONFIG: field tracing.zipkin.address is not a text"],
    [{ tracing: "zipkin" }, "PROXY_CONFIG: field tracing is not an object"],
    [{ runtimeValues: { a: {} } }, "PROXY_CONFIG: field runtimeValues is not a map of texts"],
    [{ proxyStatsMatcher: { inclusionPrefixes: [1] } }, /inclusionPrefixes is not a list of texts/],
    [{ envoyMetricsService: { tlsSettings: { mode: "TLS" } } }, /envoyMetricsService\.tlsSettings\.mode is not one of/],
    [{ envoyMetricsService: { tlsSettings: { insecureSkipVerify: "no" } } }, /insecureSkipVerify is not true or false/],
  ] as const) {
    const copy: JsonObject = JSON.parse(JSON.stringify(wrong));
    assert.throws(() => parseBootstrapConfig(copy, "PROXY_CONFIG"), { code: "failed-precondition", message });
  }
});

const badAddresses: readonly [config: BootstrapConfig, field: RegExp][] = [
  [{ tracing: { zipkin: { address: "zipkin" } } }, /field tracing\.zipkin\.address is not HOST:PORT: "zipkin"/],
  [{ envoyMetricsService: { address: "a:b" } }, /field envoyMetricsService\.address/],
  [{ statsdUdpAddress: "a:70000" }, /field statsdUdpAddress/],
];
for (const [proxyConfig, message] of badAddresses) {
  test(`${JSON.stringify(proxyConfig)} is refused by field`, () => {
    assert.throws(() => buildBootstrap(input({ proxyConfig })), { code: "invalid-argument", message });
  });
}

test("only the mesh's own stats are kept, and what the matcher adds", { skip }, async (t) => {
  const names = async (proxyConfig: BootstrapConfig) => {
    const {
      dynamicResources: _,
      admin: __,
      ...rest
    } = buildBootstrap(input({ proxyConfig, probers: { "/app-health/app/livez": { tcpSocket: { port: 1 } } } }));
    return await (await startEnvoy(t, rest)).admin("/stats");
  };
  const kept = await names({});
  assert.match(kept, /^server\.live: 1$/m);
  assert.match(kept, /^cluster\.app-health-1-tcp-1s\.membership_total: 1$/m);
  assert.match(kept, /^listener\.\S+\.downstream_cx_active: \d+$/m);
  assert.doesNotMatch(kept, /^cluster\.prometheus_stats\./m);
  const added = await names({ proxyStatsMatcher: { inclusionRegexps: ["cluster\\.prometheus_stats\\..*"] } });
  assert.match(added, /^cluster\.prometheus_stats\.upstream_cx_total: 0$/m);
});

test("tags that extensions write into names become labels, and histograms get the bounds that the pod wants", {
  skip,
}, async (t) => {
  const name = "istio_calls;.team=.=shop.front;.";
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] },
      ],
    },
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const over = {
    static_resources: {
      listeners: [
        {
          name: "calls",
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
        },
      ],
    },
  };
  const base = input({
    proxyConfig: { extraStatTags: ["team", "a.b"], proxyStatsMatcher: { inclusionPrefixes: ["http."] } },
  });
  const annotations = { "sidecar.istio.io/statsHistogramBuckets": '{"http":[2,4000]}' };
  const bootstrap = buildBootstrap({ ...base, node: { ...base.node, annotations } });
  const { dynamicResources: _, admin: __, ...rest } = mergeBootstrap(bootstrap, over);
  const envoy = await startEnvoy(t, rest);
  await fetch(`http://127.0.0.1:${await envoy.listenerPort("calls")}/`);
  const page = await until("the histogram to be there", async () => {
    const text = await envoy.admin("/stats/prometheus");
    return /downstream_rq_time_bucket.*calls/.test(text) && text;
  });
  assert.match(page, /downstream_rq_total\{[^}]*team="shop\.front"/);
  const bounds = [...page.matchAll(/downstream_rq_time_bucket\{[^}]*calls[^}]*le="([^"]+)"/g)].map(
    ([, bound]) => bound,
  );
  assert.deepEqual(bounds, ["2", "4000", "+Inf"]);
});

test("the names of clusters become labels whole", { skip }, async (t) => {
  const outbound = "outbound|80|v1|web.shop.svc.cluster.local";
  const over = {
    static_resources: { clusters: [{ name: outbound, type: "STATIC", connect_timeout: "1s" }] },
    stats_config: { stats_matcher: { inclusion_list: { patterns: [{ prefix: "cluster.outbound" }] } } },
  };
  const { dynamicResources: _, admin: __, ...rest } = mergeBootstrap(buildBootstrap(input({})), over);
  const envoy = await startEnvoy(t, rest);
  const page = await envoy.admin("/stats/prometheus");
  assert.ok(page.includes(`cluster_name="${outbound}"`), page);
});

const clusterNames: readonly [config: BootstrapConfig, labels: Record<string, string>, name: string][] = [
  [{}, { app: "web" }, "web.shop"],
  [{}, { app: "web", "service.istio.io/canonical-name": "storefront" }, "storefront.shop"],
  [{}, {}, "frontend.shop"],
  [{ serviceCluster: "edge" }, { app: "web" }, "edge"],
  [{ tracingServiceName: "CANONICAL_NAME_ONLY" }, { "service.istio.io/canonical-name": "storefront" }, "storefront"],
  [{ tracingServiceName: "CANONICAL_NAME_AND_NAMESPACE" }, { app: "web" }, "frontend.shop"],
];
for (const [proxyConfig, labels, name] of clusterNames) {
  test(`with ${JSON.stringify(proxyConfig)} and ${JSON.stringify(labels)} others know the proxy as ${name}`, () => {
    const base = input({ proxyConfig });
    const node = { ...base.node, labels, metadata: { WORKLOAD_NAME: "frontend" } };
    assert.equal(buildBootstrap({ ...base, node }).node?.cluster, name);
  });
}

test("a gateway says that it is one", () => {
  const base = input({});
  const { node } = buildBootstrap({ ...base, node: { ...base.node, type: "router" } });
  assert.match(node?.id ?? "", /^router~10\.1\.2\.3~/);
});

test("a user's own bootstrap is merged as protobuf merges, whichever way it names fields", () => {
  const base = { admin: { profilePath: "/a" }, staticResources: { clusters: [{ name: "a" }] }, node: { id: "x" } };
  const merged = mergeBootstrap(base, {
    static_resources: { clusters: [{ name: "b" }], listeners: [] },
    admin: { profile_path: "/b" },
    staticResources: { secrets: [] },
    stats_flush_interval: "1s",
  });
  assert.deepEqual(merged, {
    admin: { profilePath: "/b" },
    staticResources: { clusters: [{ name: "a" }, { name: "b" }], listeners: [], secrets: [] },
    node: { id: "x" },
    stats_flush_interval: "1s",
  });
  assert.deepEqual(base.staticResources.clusters, [{ name: "a" }], "the base stays as it was");
  const hostile: JsonObject = JSON.parse('{"__proto__":{"polluted":true}}');
  mergeBootstrap({}, hostile);
  assert.equal(Object.hasOwn(Object.prototype, "polluted"), false);
});

test("Envoy accepts a bootstrap with the user's own cluster in it", { skip }, async () => {
  const text = printBootstrap(buildBootstrap(input({})), {
    static_resources: { clusters: [{ name: "mine", type: "STATIC", connect_timeout: "1s" }] },
    stats_flush_interval: "7s",
  });
  assert.ok(text.includes('"mine"') && text.includes('"7s"'));
  assert.equal(await validateConfig(text), null);
});

function input(overrides: Omit<Partial<BootstrapInput>, "node">): BootstrapInput {
  const discovery = { address: "localhost:1", tokenFile: "/nowhere", rootCertFile: import.meta.filename };
  return bootstrapInput({ ipAddress: "10.1.2.3", discovery, ...overrides });
}

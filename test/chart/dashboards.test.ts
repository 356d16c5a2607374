import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { buildBootstrap } from "../../src/init/bootstrap.ts";
import { PROXY_PORT } from "../../src/injection/pod-contract.ts";
import { isRecord } from "../../src/mesh/conform.ts";
import { bootstrapInput } from "../support/bootstrap-input.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { envoyMissing, startEnvoy } from "../support/envoy.ts";
import { freePort } from "../support/free-port.ts";
import { CHART, helmMissing } from "../support/helm.ts";
import { prometheusMissing, prometheusPath } from "../support/prometheus.ts";
import { temporaryPath } from "../support/state.ts";
import { until } from "../support/until.ts";
import { startUpstream } from "../support/upstream.ts";
import { renderChart } from "./rendered.ts";

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
}

const FOLDER = join(CHART, "files/dashboards");
/** What Prometheus' functions and labels are called; every other word of a query is a metric. */
const GRAMMAR =
  /"[^"]*"|\{[^}]*\}|\bby \([^)]*\)|\b(?:sum|min|max|rate|time|topk|count|histogram_quantile)\b|\[[^\]]*\]/g;

async function dashboards(): Promise<ReadonlyMap<string, Dashboard>> {
  const files = await readdir(FOLDER);
  return new Map(
    await Promise.all(
      files.map(async (file) => [file, JSON.parse(await readFile(join(FOLDER, file), "utf8"))] as const),
    ),
  );
}

function queriesOf({ panels }: Dashboard): readonly string[] {
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr.replaceAll("$__rate_interval", "1m")));
}

function metricsOf(query: string): string[] {
  return query.replaceAll(GRAMMAR, " ").match(/[a-z][a-z0-9_]+/g) ?? [];
}

test("dashboards are ConfigMaps that Grafana finds, where they are asked for", { skip: helmMissing }, async () => {
  const of = async (values: object) =>
    (await renderChart(values)).filter(
      ({ kind, metadata }) => kind === "ConfigMap" && /-dashboard-/.test(metadata.name),
    );
  assert.deepEqual(await of({}), []);
  const maps = await of({ dashboards: { enabled: true } });
  const boards = await dashboards();
  assert.equal(maps.length, boards.size);
  for (const { metadata, data } of maps) {
    assert.ok(isRecord(metadata.labels) && metadata.labels.grafana_dashboard === "1");
    for (const [file, text] of Object.entries<string>(data)) assert.deepEqual(JSON.parse(text), boards.get(file));
  }
});

test("panels have titles and places of their own", async () => {
  for (const [file, { uid, panels }] of await dashboards()) {
    assert.match(uid, /^trysail-/, file);
    assert.equal(new Set(panels.map(({ title }) => title)).size, panels.length, file);
  }
});

const skip = prometheusMissing() || envoyMissing();
test("every query is one that Prometheus understands, of metrics that there are", { skip }, async (t) => {
  const boards = await dashboards();
  const mesh = await testControlPlane(t, {});
  const controlPlane = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  const proxies = await proxyMetrics(t);
  const query = await startPrometheus(t);
  for (const [file, board] of boards) {
    const known = new Set([...`${controlPlane}\n${proxies}`.matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name));
    for (const each of queriesOf(board)) {
      assert.equal(await query(each), "success", `${file}: ${each}`);
      const metrics = metricsOf(each);
      assert.ok(metrics.length > 0, each);
      for (const metric of metrics) {
        const name = metric.replace(/_(?:bucket|count|sum)$/, "");
        assert.ok(
          known.has(metric) || known.has(name) || ONLY_IN_A_CLUSTER.has(metric),
          `${file}: ${metric} is no metric`,
        );
      }
    }
  }
  assert.equal(await query("sum by ("), "error", "Prometheus complains where there is reason to");
});

/** What a control plane that serves folders has nothing to count of. */
const ONLY_IN_A_CLUSTER = new Set(["trysail_kubernetes_kinds", "trysail_status_writes_total"]);

/** What an Envoy beside a pod counts, unless its ProxyConfig asks for more. */
async function proxyMetrics(t: TestContext): Promise<string> {
  const { statsConfig = {} } = buildBootstrap(bootstrapInput({ ports: PROXY_PORT }));
  const { port } = await startUpstream(t, "web");
  const http2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicit_http_config: { http2_protocol_options: {} },
    },
  };
  const endpoint = { address: { socket_address: { address: "127.0.0.1", port_value: port } } };
  const streams = { ads: {}, initial_fetch_timeout: "0.1s" };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "requests",
    route_config: {},
  };
  const envoy = await startEnvoy(t, {
    node: { id: "web", cluster: "web" },
    stats_config: statsConfig,
    // Nobody answers there, which is counted as well.
    dynamic_resources: {
      ads_config: { api_type: "DELTA_GRPC", grpc_services: [{ envoy_grpc: { cluster_name: "control-plane" } }] },
      cds_config: streams,
      lds_config: streams,
    },
    static_resources: {
      listeners: [
        {
          name: "main",
          address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
          filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: "control-plane",
          type: "STATIC",
          typed_extension_protocol_options: http2,
          load_assignment: { cluster_name: "control-plane", endpoints: [{ lb_endpoints: [{ endpoint }] }] },
        },
      ],
    },
  });
  return envoy.admin("/stats/prometheus");
}

/** Answers the status of a query: `success`, or `error` where it is none. */
async function startPrometheus(t: TestContext): Promise<(query: string) => Promise<string>> {
  const folder = await temporaryPath(t, "prometheus");
  await mkdir(folder);
  const file = join(folder, "prometheus.yml");
  await writeFile(file, "{}");
  const port = await freePort();
  const child = spawn(
    prometheusPath(),
    [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, "data")}`, `--web.listen-address=127.0.0.1:${port}`],
    { stdio: "ignore" },
  );
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const ask = async (query: string): Promise<string> => {
    const body = new URLSearchParams({ query });
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query`, { method: "POST", body });
    const { status }: { status: string } = JSON.parse(await answer.text());
    return status;
  };
  await until("Prometheus to answer", () => ask("1"), { timeoutMs: 60_000 });
  return ask;
}

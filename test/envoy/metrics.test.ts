import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { buildBootstrap } from "../../src/init/bootstrap.ts";
import { planMetrics } from "../../src/injection/metrics.ts";
import { PROXY_PORT } from "../../src/injection/pod-contract.ts";
import { bootstrapInput } from "../support/bootstrap-input.ts";
import { envoyMissing } from "../support/envoy.ts";
import { startEnvoyInPod } from "../support/envoy-in-pod.ts";
import { runInit } from "../support/intercepted-pod.ts";
import { createTestNetwork, netnsMissing, type TestHost } from "../support/netns.ts";
import { prometheusMissing, prometheusPath } from "../support/prometheus.ts";
import { until } from "../support/until.ts";

const skip = netnsMissing() || envoyMissing() || prometheusMissing();

test("a Prometheus that goes by the pod's annotations has the metrics of proxy and app", { skip }, async (t) => {
  const { machine, pod } = await createTestNetwork(t);
  await startApp(pod);
  await runInit(t, pod, []);
  const plan = planMetrics({ "prometheus.io/scrape": "true", "prometheus.io/port": "8080" });
  // No listener is on 15006: as under strict mTLS, nothing in plaintext gets to the app by itself.
  const { dynamicResources: _, admin: __, ...config } = bootstrapOf(pod.ipv4, plan.app);
  await startEnvoyInPod(t, pod, config);
  await startPrometheus(t, machine, `${pod.ipv4}:8080`, plan.annotations);

  // At one moment: Prometheus forgets what a scrape that is late does not bring.
  await until("the metrics of proxy and app", async () => {
    const found = await metrics(machine, ["orders_total", "envoy_server_live", "up", "trysail_app_scrape_success"]);
    assert.deepEqual(found, {
      orders_total: "7",
      envoy_server_live: "1",
      up: "1",
      trysail_app_scrape_success: "1",
    });
    return true;
  });
});

function bootstrapOf(ipAddress: string, appMetrics: ReturnType<typeof planMetrics>["app"]) {
  const input = bootstrapInput({ ipAddress, interceptionMode: "REDIRECT", ports: PROXY_PORT });
  return buildBootstrap(appMetrics === undefined ? input : { ...input, appMetrics });
}

async function startApp(pod: TestHost): Promise<void> {
  const server = `
    require("node:http").createServer(({ url }, response) => {
      response.statusCode = url === "/metrics" ? 200 : 404;
      response.end("# HELP orders_total Orders.\\n# TYPE orders_total counter\\norders_total 7\\n");
    }).listen(8080, "0.0.0.0", () => console.log("up"));`;
  const { stdout } = pod.start(process.execPath, ["-e", server]);
  assert.match(String(await once(stdout ?? assert.fail(), "data")), /up/);
}

/** Finds its target as Istio's documentation has it do, by annotations; only the pod itself is not looked up but given. */
async function startPrometheus(
  t: TestContext,
  machine: TestHost,
  address: string,
  annotations: Readonly<Record<string, string>>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "trysail-prometheus-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const labels = Object.entries(annotations).map(([name, text]): [string, string] => [
    `__meta_kubernetes_pod_annotation_${name.replaceAll(/\W/g, "_")}`,
    text,
  ]);
  const annotation = (name: string) => `__meta_kubernetes_pod_annotation_prometheus_io_${name}`;
  const job = {
    job_name: "pods",
    scrape_interval: "1s",
    scrape_timeout: "1s",
    static_configs: [{ targets: [address], labels: Object.fromEntries(labels) }],
    relabel_configs: [
      { source_labels: [annotation("scrape")], action: "keep", regex: "true" },
      { source_labels: [annotation("scheme")], action: "replace", regex: "(https?)", target_label: "__scheme__" },
      { source_labels: [annotation("path")], action: "replace", regex: "(.+)", target_label: "__metrics_path__" },
      {
        source_labels: ["__address__", annotation("port")],
        action: "replace",
        regex: "([^:]+)(?::\\d+)?;(\\d+)",
        replacement: "$1:$2",
        target_label: "__address__",
      },
    ],
  };
  const file = join(folder, "prometheus.yml");
  writeFileSync(file, JSON.stringify({ scrape_configs: [job] }));
  machine.start(prometheusPath(), [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    "--web.listen-address=127.0.0.1:9090",
  ]);
}

/** The values of these metrics, where they have one. */
async function metrics(machine: TestHost, names: readonly string[]): Promise<Record<string, string>> {
  const query = `{__name__=~"${names.join("|")}", job="pods"}`;
  const url = `http://127.0.0.1:9090/api/v1/query?query=${encodeURIComponent(query)}`;
  const { data }: { data: { result: Sample[] } } = JSON.parse(await machine.run("curl", ["-sf", url]));
  return Object.fromEntries(data.result.map(({ metric, value }) => [metric.__name__, value[1]]));
}

interface Sample {
  readonly metric: { readonly __name__: string };
  readonly value: readonly [time: number, text: string];
}

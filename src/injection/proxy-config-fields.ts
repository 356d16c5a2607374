import type { ProxyConfig } from "./proxy-config.ts";

export interface ProxyConfigField {
  /** Who carries it out; `nobody` is told to whoever sets the field. */
  readonly by: "webhook" | "bootstrap" | "nobody";
  /** In a few words; for `nobody`, why. */
  readonly effect: string;
}

/** What each field of a ProxyConfig does here. The webhook warns of those that do nothing; the docs list them all. */
export const PROXY_CONFIG_FIELDS = {
  configPath: { by: "nobody", effect: "the bootstrap's place is fixed" },
  binaryPath: { by: "nobody", effect: "the image's own Envoy runs" },
  customConfigFile: { by: "nobody", effect: "use the annotation sidecar.istio.io/bootstrapOverride" },
  proxyBootstrapTemplatePath: { by: "nobody", effect: "use the annotation sidecar.istio.io/bootstrapOverride" },
  serviceCluster: { by: "bootstrap", effect: "Envoy's node cluster" },
  tracingServiceName: { by: "bootstrap", effect: "which name traces show" },
  drainDuration: { by: "webhook", effect: "how long Envoy drains (`--drain-time-s`), by default 45s" },
  discoveryAddress: { by: "webhook", effect: "the control plane's address" },
  statsdUdpAddress: { by: "bootstrap", effect: "where Envoy sends statsd" },
  proxyAdminPort: { by: "nobody", effect: "the administration port is 15000" },
  controlPlaneAuthPolicy: { by: "nobody", effect: "the control plane is always spoken to over TLS" },
  concurrency: { by: "webhook", effect: "Envoy's worker threads; by default one a CPU of its limit" },
  tracing: { by: "bootstrap", effect: "where traces go: `zipkin`, `datadog`, `tlsSettings`; not its other fields" },
  envoyAccessLogService: { by: "bootstrap", effect: "the cluster envoy_accesslog_service" },
  envoyMetricsService: { by: "bootstrap", effect: "where Envoy streams its metrics" },
  proxyMetadata: { by: "webhook", effect: "environment of both containers; `ISTIO_META_…` becomes node metadata" },
  runtimeValues: { by: "bootstrap", effect: "Envoy's runtime" },
  statusPort: { by: "nobody", effect: "the status port is 15021" },
  extraStatTags: { by: "nobody", effect: "Istio's metrics have their standard tags" },
  gatewayTopology: { by: "nobody", effect: "gateways trust no proxies in front of them" },
  terminationDrainDuration: { by: "webhook", effect: "how long a classic sidecar or gateway keeps on before it ends" },
  meshId: { by: "webhook", effect: "the node metadata MESH_ID" },
  readinessProbe: { by: "webhook", effect: "delays, periods and thresholds of the proxy's own readiness probe" },
  proxyStatsMatcher: { by: "bootstrap", effect: "which of Envoy's stats exist beyond Istio's" },
  statsTags: { by: "nobody", effect: "use extraStatTags" },
  holdApplicationUntilProxyStarts: { by: "webhook", effect: "a classic sidecar comes first and the app waits for it" },
  caCertificatesPem: { by: "nobody", effect: "the mesh's trust bundle comes from the control plane" },
  image: { by: "webhook", effect: "imageType, such as `distroless`" },
  privateKeyProvider: { by: "nobody", effect: "stock Envoy keeps its keys itself" },
  proxyHeaders: { by: "nobody", effect: "Envoy's headers are as the control plane sets them" },
  fileFlushInterval: { by: "webhook", effect: "how often access logs are flushed (`--file-flush-interval-msec`)" },
  fileFlushMinSizeKb: { by: "webhook", effect: "how much is flushed at once (`--file-flush-min-size-kb`)" },
  statsEvictionInterval: { by: "bootstrap", effect: "after which time unused stats go" },
  statsCompression: { by: "nobody", effect: "metrics are compressed for whoever asks" },
  interceptionMode: { by: "webhook", effect: "REDIRECT, TPROXY or NONE" },
} as const satisfies Record<keyof ProxyConfig, ProxyConfigField>;

/** One sentence for each field of `config` that has no effect. */
export function ineffectiveFields(config: ProxyConfig, source: string): readonly string[] {
  const fields: Readonly<Record<string, ProxyConfigField>> = PROXY_CONFIG_FIELDS;
  const whole = Object.keys(config).flatMap((name) => {
    const field = fields[name];
    return field?.by === "nobody" ? [`${source}: ${name} has no effect: ${field.effect}`] : [];
  });
  const tracing = Object.keys(config.tracing ?? {}).filter((name) => !TRACING_FIELDS.includes(name));
  const capture = config.proxyMetadata?.[DNS_CAPTURE] === undefined ? [] : [`proxyMetadata.${DNS_CAPTURE}`];
  const parts = [...tracing.map((name) => `tracing.${name}`), ...capture];
  return [...whole, ...parts.map((name) => `${source}: ${name} has no effect`)];
}

const TRACING_FIELDS: readonly string[] = ["zipkin", "datadog", "tlsSettings"];
const DNS_CAPTURE = "ISTIO_META_DNS_CAPTURE";

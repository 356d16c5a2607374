import type { ProxyConfig } from "./mesh-proxy-config.ts";

export interface ProxyConfigField {
  /** Who carries it out; `nobody` is told to whoever sets the field. */
  readonly by: "webhook" | "bootstrap" | "control-plane" | "nobody";
  /** In a few words; for `nobody`, why. */
  readonly effect: string;
}

/** What each field of a ProxyConfig does here. Whoever sets one that does nothing is told; docs/injection.md lists them all. */
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
  tracing: {
    by: "control-plane",
    effect:
      "where traces go (`zipkin`, `datadog`, `tlsSettings`), of how many requests in a hundred (`sampling`, by default 1), and with what (`customTags`, `maxPathTagLength`); not its other fields",
  },
  envoyAccessLogService: { by: "bootstrap", effect: "the cluster envoy_accesslog_service" },
  envoyMetricsService: { by: "bootstrap", effect: "where Envoy streams its metrics" },
  proxyMetadata: {
    by: "webhook",
    effect: "environment of both containers; `ISTIO_META_…` becomes node metadata",
  },
  runtimeValues: { by: "bootstrap", effect: "Envoy's runtime" },
  statusPort: {
    by: "bootstrap",
    effect: "where metrics, health and the app's probes are, instead of 15020 (and 15021, where health stays as well)",
  },
  extraStatTags: { by: "bootstrap", effect: "tags in the names of stats (`…;.TAG=.=VALUE;.…`) that become labels" },
  gatewayTopology: {
    by: "control-plane",
    effect:
      "of a gateway: how many proxies in front are believed, what becomes of callers' certificates, and whether a balancer speaks the PROXY protocol",
  },
  terminationDrainDuration: {
    by: "webhook",
    effect: "how long the proxy keeps on at least before it ends, by default 5s",
  },
  meshId: { by: "webhook", effect: "the node metadata MESH_ID" },
  readinessProbe: { by: "webhook", effect: "delays, periods and thresholds of the proxy's own readiness probe" },
  proxyStatsMatcher: { by: "bootstrap", effect: "which of Envoy's stats exist beyond Istio's" },
  statsTags: { by: "nobody", effect: "use extraStatTags" },
  holdApplicationUntilProxyStarts: { by: "webhook", effect: "a classic sidecar comes first and the app waits for it" },
  caCertificatesPem: { by: "nobody", effect: "the mesh's trust bundle comes from the control plane" },
  image: { by: "webhook", effect: "imageType, such as `distroless`" },
  privateKeyProvider: { by: "nobody", effect: "stock Envoy keeps its keys itself" },
  proxyHeaders: {
    by: "control-plane",
    effect:
      "which headers Envoy adds: `server`, `requestId`, `attemptCount`, `envoyDebugHeaders`, `xForwardedHost`, `xForwardedPort`, `forwardedClientCert`, `setCurrentClientCertDetails`, and whether names of HTTP/1.1 headers keep their capitals (`preserveHttp1HeaderCase`); not its other fields",
  },
  fileFlushInterval: { by: "webhook", effect: "how often access logs are flushed (`--file-flush-interval-msec`)" },
  fileFlushMinSizeKb: { by: "webhook", effect: "how much is flushed at once (`--file-flush-min-size-kb`)" },
  statsEvictionInterval: { by: "bootstrap", effect: "after which time unused stats go" },
  statsCompression: {
    by: "bootstrap",
    effect: "whether Prometheus gets metrics compressed, where it can; by default it does",
  },
  interceptionMode: { by: "webhook", effect: "REDIRECT, TPROXY or NONE" },
} as const satisfies Record<keyof ProxyConfig, ProxyConfigField>;

/** A field that was written and does nothing; an empty reason where nothing more is known than that. */
export interface IneffectiveField {
  readonly name: string;
  readonly reason: string;
}

export function ineffectiveFields(config: ProxyConfig): readonly IneffectiveField[] {
  const fields: Readonly<Record<string, ProxyConfigField>> = PROXY_CONFIG_FIELDS;
  const whole = Object.keys(config).flatMap((name) => {
    const field = fields[name];
    return field?.by === "nobody" ? [{ name, reason: field.effect }] : [];
  });
  const parts = [
    ...partsWithout(config.tracing, "tracing", TRACING_FIELDS),
    ...partsWithout(config.proxyHeaders, "proxyHeaders", HEADER_FIELDS),
  ];
  return [...whole, ...parts.map((name) => ({ name, reason: "" }))];
}

function partsWithout(value: object | undefined, name: string, effective: readonly string[]): string[] {
  return Object.keys(value ?? {}).flatMap((part) => (effective.includes(part) ? [] : [`${name}.${part}`]));
}

const TRACING_FIELDS = ["zipkin", "datadog", "tlsSettings", "sampling", "customTags", "maxPathTagLength"];
const HEADER_FIELDS = [
  "server",
  "requestId",
  "attemptCount",
  "envoyDebugHeaders",
  "xForwardedHost",
  "xForwardedPort",
  "forwardedClientCert",
  "setCurrentClientCertDetails",
  "preserveHttp1HeaderCase",
];

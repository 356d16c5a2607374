import { type Static, type TSchema, Type } from "typebox";
import { DurationText } from "./fields.ts";

/**
 * Istio's ProxyConfig: mesh-wide under `defaultConfig`, for some pods in a ProxyConfig resource, for one in the
 * annotation `proxy.istio.io/config`. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig
 */

const closed = { additionalProperties: false } as const;
const optional = <T extends Record<string, TSchema>>(fields: T) => Type.Partial(Type.Object(fields), closed);

const Text = Type.String({ maxLength: 4096 });
const Texts = Type.Array(Text);
/** YAML's `"true"` and `true` are both found in environment variables. */
const Environment = Type.Record(Type.String(), Type.Union([Type.String(), Type.Boolean(), Type.Integer()]));

const TlsSettings = optional({
  mode: Type.Union([
    Type.Literal("DISABLE"),
    Type.Literal("SIMPLE"),
    Type.Literal("MUTUAL"),
    Type.Literal("ISTIO_MUTUAL"),
  ]),
  clientCertificate: Text,
  privateKey: Text,
  caCertificates: Text,
  credentialName: Text,
  subjectAltNames: Texts,
  sni: Text,
  insecureSkipVerify: Type.Boolean(),
  caCrl: Text,
});

const CustomTag = optional({
  literal: optional({ value: Text }),
  environment: optional({ name: Text, defaultValue: Text }),
  header: optional({ name: Text, defaultValue: Text }),
  formatter: optional({ value: Text }),
});

const Tracing = optional({
  zipkin: optional({ address: Text }),
  lightstep: optional({ address: Text, accessToken: Text }),
  datadog: optional({ address: Text }),
  stackdriver: optional({
    debug: Type.Boolean(),
    maxNumberOfAttributes: Type.Integer(),
    maxNumberOfAnnotations: Type.Integer(),
    maxNumberOfMessageEvents: Type.Integer(),
  }),
  openCensusAgent: optional({ address: Text, context: Texts }),
  customTags: Type.Record(Type.String(), CustomTag),
  maxPathTagLength: Type.Integer({ minimum: 0 }),
  /** Percent. */
  sampling: Type.Number({ minimum: 0, maximum: 100 }),
  tlsSettings: TlsSettings,
  enableIstioTags: Type.Boolean(),
});

const RemoteService = optional({
  address: Text,
  tlsSettings: TlsSettings,
  tcpKeepalive: optional({ probes: Type.Integer({ minimum: 0 }), time: DurationText, interval: DurationText }),
});

const Seconds = Type.Integer({ minimum: 0 });
/** As in a Kubernetes probe; with none of the three handlers it is the proxy's own readiness that is asked. */
const ReadinessProbe = optional({
  httpGet: Type.Unknown(),
  tcpSocket: Type.Unknown(),
  exec: Type.Unknown(),
  grpc: Type.Unknown(),
  initialDelaySeconds: Seconds,
  timeoutSeconds: Seconds,
  periodSeconds: Seconds,
  successThreshold: Seconds,
  failureThreshold: Seconds,
});

const Switch = optional({ disabled: Type.Boolean() });
const ProxyHeaders = optional({
  forwardedClientCert: Text,
  setCurrentClientCertDetails: optional({
    subject: Type.Boolean(),
    cert: Type.Boolean(),
    chain: Type.Boolean(),
    dns: Type.Boolean(),
    uri: Type.Boolean(),
  }),
  requestId: Switch,
  server: optional({ disabled: Type.Boolean(), value: Text }),
  attemptCount: Switch,
  envoyDebugHeaders: Switch,
  metadataExchangeHeaders: optional({ mode: Text }),
  preserveHttp1HeaderCase: Type.Boolean(),
  xForwardedHost: optional({ enabled: Type.Boolean() }),
  xForwardedPort: optional({ enabled: Type.Boolean() }),
});

export type InterceptionMode = "REDIRECT" | "TPROXY" | "NONE";

export const ProxyConfig = optional({
  configPath: Text,
  binaryPath: Text,
  customConfigFile: Text,
  proxyBootstrapTemplatePath: Text,
  serviceCluster: Text,
  tracingServiceName: Text,
  drainDuration: DurationText,
  discoveryAddress: Text,
  statsdUdpAddress: Text,
  proxyAdminPort: Type.Integer({ minimum: 0, maximum: 65535 }),
  controlPlaneAuthPolicy: Text,
  concurrency: Type.Integer({ minimum: 0, maximum: 1024 }),
  tracing: Tracing,
  envoyAccessLogService: RemoteService,
  envoyMetricsService: RemoteService,
  proxyMetadata: Environment,
  runtimeValues: Environment,
  statusPort: Type.Integer({ minimum: 0, maximum: 65535 }),
  extraStatTags: Texts,
  gatewayTopology: optional({
    // Envoy goes no further back in `x-forwarded-for` than this says; nobody has as many proxies in front.
    numTrustedProxies: Type.Integer({ minimum: 0, maximum: 255 }),
    forwardClientCertDetails: Type.Union(
      ["UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"].map((known) =>
        Type.Literal(known),
      ),
    ),
    proxyProtocol: optional({}),
  }),
  terminationDrainDuration: DurationText,
  meshId: Text,
  readinessProbe: ReadinessProbe,
  proxyStatsMatcher: optional({ inclusionPrefixes: Texts, inclusionSuffixes: Texts, inclusionRegexps: Texts }),
  statsTags: Type.Unknown(),
  holdApplicationUntilProxyStarts: Type.Boolean(),
  caCertificatesPem: Texts,
  image: optional({ imageType: Text }),
  privateKeyProvider: Type.Unknown(),
  proxyHeaders: ProxyHeaders,
  fileFlushInterval: DurationText,
  fileFlushMinSizeKb: Type.Integer({ minimum: 0 }),
  statsEvictionInterval: DurationText,
  statsCompression: Type.Boolean(),
  interceptionMode: Type.Union([Type.Literal("REDIRECT"), Type.Literal("TPROXY"), Type.Literal("NONE")]),
});
export type ProxyConfig = Static<typeof ProxyConfig>;

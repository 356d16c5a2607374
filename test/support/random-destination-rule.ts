import fc from "fast-check";
import {
  duration,
  exportTo,
  hostOrWildcard,
  istio,
  labels,
  name,
  pick,
  portNumber,
  record,
  some,
  something,
  span,
  text,
} from "./random-values.ts";

/** DestinationRules of everything that they can say. */

const count = pick(0, 1, 2 ** 31 - 1);
const localityLbSetting = fc.oneof(
  fc.record({ enabled: fc.boolean() }),
  fc.record({ distribute: fc.constant([{ from: "east/*", to: { "east/one/*": 60, "west/*": 40 } }]) }),
  fc.record({ failover: fc.constant([{ from: "east", to: "west" }]) }),
  fc.record({ failoverPriority: some(pick("version", "topology.kubernetes.io/zone"), 2) }),
);
const policyFields = {
  tls: fc.oneof(
    fc.constant({ mode: "SIMPLE", insecureSkipVerify: true }),
    record({
      mode: pick("DISABLE", "SIMPLE", "ISTIO_MUTUAL"),
      sni: pick("", "x.example.com"),
      subjectAltNames: some(pick("x.example.com", "spiffe://a/b", "10.0.0.1"), 2),
    }),
  ),
  loadBalancer: fc.oneof(
    record({
      simple: pick("RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "UNSPECIFIED"),
      warmup: fc.record({ duration: span, minimumPercent: pick(0, 10, 100), aggression: pick(1, 1.5) }),
      localityLbSetting,
    }),
    record({
      localityLbSetting,
      consistentHash: fc
        .tuple(
          fc.oneof(
            fc.record({ httpHeaderName: pick("x-a", ":path") }),
            fc.record({ httpQueryParameterName: something }),
            fc.constant({ useSourceIp: true }),
            fc.record({ httpCookie: fc.record({ name: something, path: text, ttl: duration }) }),
          ),
          fc.oneof(
            fc.record({ maglev: record({ tableSize: pick(0, 7, 251) }) }),
            fc.record({ ringHash: record({ minimumRingSize: pick(0, 1, 5000) }) }),
            fc.constant({}),
          ),
        )
        .map(([key, algorithm]) => ({ ...key, ...algorithm })),
    }),
  ),
  connectionPool: fc.record({
    tcp: record({
      maxConnections: count,
      connectTimeout: span,
      idleTimeout: duration,
      maxConnectionDuration: duration,
      tcpKeepalive: record({ probes: count, time: span, interval: span }),
    }),
    http: record({
      http1MaxPendingRequests: count,
      http2MaxRequests: count,
      maxRequestsPerConnection: count,
      maxRetries: count,
      maxConcurrentStreams: count,
      http2KeepAlive: fc.record({ interval: span, timeout: span }),
      idleTimeout: duration,
      h2UpgradePolicy: pick("DEFAULT", "DO_NOT_UPGRADE"),
      useClientProtocol: fc.boolean(),
    }),
  }),
  outlierDetection: record({
    consecutive5xxErrors: count,
    consecutiveGatewayErrors: count,
    splitExternalLocalOriginErrors: fc.boolean(),
    consecutiveLocalOriginFailures: count,
    interval: span,
    baseEjectionTime: span,
    maxEjectionPercent: pick(0, 100),
    minHealthPercent: pick(0, 50),
  }),
};
const trafficPolicy = record({
  ...policyFields,
  portLevelSettings: some(
    fc.tuple(portNumber, record(policyFields)).map(([number, settings]) => ({ port: { number }, ...settings })),
    2,
  ),
  tunnel: record({ protocol: pick("CONNECT", "POST"), targetHost: pick("a.test", "fd00::1"), targetPort: portNumber }),
  proxyProtocol: record({ version: pick("V1", "V2") }),
  retryBudget: record({ percent: pick(0, 20.5, 100), minRetryConcurrency: count }),
});
export const destinationRule = istio(
  "networking",
  "DestinationRule",
  fc.record(
    {
      host: hostOrWildcard,
      trafficPolicy,
      exportTo,
      workloadSelector: record({ matchLabels: record({ app: name }) }),
      subsets: some(fc.record({ name: pick("v1", "v2"), labels, trafficPolicy }, { requiredKeys: ["name"] })),
    },
    { requiredKeys: ["host"] },
  ),
);

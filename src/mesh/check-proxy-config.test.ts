import assert from "node:assert/strict";
import { test } from "node:test";
import { checkProxyConfig } from "./check-proxy-config.ts";
import type { ProxyConfig } from "./istio/mesh-proxy-config.ts";

test("what proxies can start with is fine", () => {
  const config: ProxyConfig = {
    discoveryAddress: "istiod.istio-system.svc:15012",
    statsdUdpAddress: "[fd00::1]:8125",
    tracing: { zipkin: { address: "zipkin:9411" }, datadog: { address: "$(HOST_IP):8126" } },
    envoyMetricsService: {
      address: "10.0.0.1:1",
      tlsSettings: { mode: "MUTUAL", clientCertificate: "/c.pem", privateKey: "/k.pem" },
    },
    envoyAccessLogService: { address: "" },
    proxyStatsMatcher: { inclusionPrefixes: ["a"], inclusionSuffixes: ["b"], inclusionRegexps: ["^c.*$"] },
    extraStatTags: ["d"],
    statsEvictionInterval: "1m5s",
    image: { imageType: "distroless" },
    fileFlushInterval: "10s",
    fileFlushMinSizeKb: 64,
    proxyMetadata: {
      MINIMUM_DRAIN_DURATION: "1m",
      EXIT_ON_ZERO_ACTIVE_CONNECTIONS: true,
      ISTIO_METAJSON_A: "{}",
      "a.b-c_1": 3,
    },
  };
  assert.deepEqual(checkProxyConfig(config), []);
});

const refused: readonly [field: string, config: ProxyConfig][] = [
  ["discoveryAddress", { discoveryAddress: "istiod" }],
  ["statsdUdpAddress", { statsdUdpAddress: "a b:1" }],
  ["tracing.zipkin.address", { tracing: { zipkin: { address: "a:0" } } }],
  ["tracing.datadog.address", { tracing: { datadog: { address: "::1:80" } } }],
  ["envoyAccessLogService.address", { envoyAccessLogService: { address: "http://a:1" } }],
  ["envoyMetricsService.address", { envoyMetricsService: { address: "a:65536" } }],
  ["tracing.tlsSettings", { tracing: { tlsSettings: { mode: "MUTUAL", privateKey: "/k" } } }],
  ["proxyStatsMatcher.inclusionPrefixes[1]", { proxyStatsMatcher: { inclusionPrefixes: ["a", ""] } }],
  ["proxyStatsMatcher.inclusionSuffixes[0]", { proxyStatsMatcher: { inclusionSuffixes: [""] } }],
  ["proxyStatsMatcher.inclusionRegexps[0]", { proxyStatsMatcher: { inclusionRegexps: ["(?<=a)b"] } }],
  ["proxyStatsMatcher.inclusionRegexps[0]", { proxyStatsMatcher: { inclusionRegexps: ["a".repeat(1025)] } }],
  ["extraStatTags[0]", { extraStatTags: [""] }],
  ["statsEvictionInterval", { statsEvictionInterval: "7s" }],
  ["statsEvictionInterval", { statsEvictionInterval: "0s" }],
  ["image.imageType", { image: { imageType: "a b" } }],
  ["fileFlushInterval", { fileFlushInterval: "1000000h" }],
  ["fileFlushMinSizeKb", { fileFlushMinSizeKb: 99_999_999_999 }],
  ['proxyMetadata["a=b"]', { proxyMetadata: { "a=b": "c" } }],
  ['proxyMetadata[""]', { proxyMetadata: { "": "c" } }],
  ["proxyMetadata.A", { proxyMetadata: { A: "x\0y" } }],
  ["proxyMetadata.MINIMUM_DRAIN_DURATION", { proxyMetadata: { MINIMUM_DRAIN_DURATION: "soon" } }],
  ["proxyMetadata.EXIT_ON_ZERO_ACTIVE_CONNECTIONS", { proxyMetadata: { EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "yes" } }],
  ["proxyMetadata.ISTIO_METAJSON_A", { proxyMetadata: { ISTIO_METAJSON_A: "{" } }],
];
for (const [field, config] of refused) {
  test(`${JSON.stringify(config).slice(0, 90)} is an error of ${field}`, () => {
    assert.deepEqual(
      checkProxyConfig(config).map(({ path, severity }) => [severity, path]),
      [["error", field]],
    );
  });
}

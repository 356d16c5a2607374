import assert from "node:assert/strict";
import { test } from "node:test";
import { inject, sidecar } from "../../test/support/injected-pod.ts";

/** Annotations that no proxy could start with. */

const mistakes: readonly [name: string, value: string, message: RegExp][] = [
  [sidecar("proxyImage"), "two words", /is not the name of an image$/],
  [sidecar("proxyImageType"), "../x", /is not a type of image/],
  [sidecar("proxyCPU"), "much", /"much" is not an amount such as 100m or 128Mi$/],
  [sidecar("proxyCPU"), "-1", /is not an amount/],
  [sidecar("proxyMemoryLimit"), "1GiB", /is not an amount/],
  [sidecar("logLevel"), "loud", /is not one of trace, debug, info/],
  [sidecar("componentLogLevel"), "misc:error,foo:debug", /Envoy has no component foo:debug$/],
  [sidecar("componentLogLevel"), "upstream", /is not a list of COMPONENT:LEVEL$/],
  [sidecar("interceptionMode"), "redirect", /is not one of REDIRECT, TPROXY, NONE$/],
  [sidecar("nativeSidecar"), "yes", /"yes" is not true or false$/],
  [sidecar("rewriteAppHTTPProbers"), "", /"" is not true or false$/],
  [sidecar("discoveryAddress"), "istiod", /is not HOST:PORT$/],
  [sidecar("discoveryAddress"), "istiod:99999", /is not HOST:PORT$/],
  [sidecar("userVolume"), "extra", /is not JSON such as/],
  [sidecar("userVolume"), '[{"emptyDir":{}}]', /is not JSON such as/],
  [sidecar("userVolume"), '{"istio-token":{}}', /the sidecar needs the name istio-token for itself/],
  [sidecar("userVolumeMount"), "[1]", /is not JSON such as/],
  [sidecar("bootstrapOverride"), "Not_A_Name", /is not the name of a Kubernetes object$/],
  [sidecar("userVolume"), `{"a":{"x":${"[".repeat(30_000)}${"]".repeat(30_000)}}}`, /is not JSON such as/],
  [sidecar("userVolume"), " ".repeat(65_537), /has 65537 characters, which are more than 65536$/],
  ["inject.istio.io/templates", "sidecar,gateway", /a pod is a gateway or has a sidecar, not both$/],
  [sidecar("extraStatTags"), "a,,b", /is not a list of names$/],
  [
    sidecar("statsInclusionRegexps"),
    Array(40).fill("((a{9}){9}){9}").join(","),
    /has more regular expressions than can be checked/,
  ],
  [
    "proxy.istio.io/config",
    `proxyStatsMatcher: {inclusionRegexps: [${'"(a{1,90}){1,9}",'.repeat(100)}]}`,
    /has more regular/,
  ],
  [sidecar("statsInclusionRegexps"), "^a$,(?<=a)b", /"\(\?<=a\)b" is not a regular expression in RE2's syntax/],
  [sidecar("statsEvictionInterval"), "7s", /is not a multiple of 5s$/],
  ["traffic.sidecar.istio.io/excludeOutboundIPRanges", "fe80::1%eth0/64", /is not a CIDR range/],
  ["traffic.sidecar.istio.io/excludeInterfaces", "-j", /is not a list of network interfaces$/],
  [sidecar("statsHistogramBuckets"), "[1]", /is not a JSON mapping$/],
  [sidecar("statsHistogramBuckets"), '{"a":["1"]}', /is not JSON such as/],
  [sidecar("statsEvictionInterval"), "5", /is not a duration/],
  [sidecar("enableCoreDump"), "2", /is not true or false$/],
  ["status.sidecar.istio.io/port", "http", /is not a whole number from 0 to 65535$/],
  ["status.sidecar.istio.io/port", "15090", /must not be 15090, which the proxy needs for something else$/],
  ["proxy.istio.io/config", "statusPort: 15006", /field statusPort must not be 15006/],
  ["readiness.status.sidecar.istio.io/periodSeconds", "0", /is not a whole number from 1/],
  ["readiness.status.sidecar.istio.io/failureThreshold", "1.5", /is not a whole number/],
  ["readiness.status.sidecar.istio.io/initialDelaySeconds", "-1", /is not a whole number/],
  ["readiness.status.sidecar.istio.io/applicationPorts", "http", /is not a port/],
  ["traffic.sidecar.istio.io/excludeInterfaces", "eth0;reboot", /is not a list of network interfaces$/],
  ["istio.io/reroute-virtual-interfaces", "a-name-too-long-for-one", /is not a list of network interfaces$/],
  ["prometheus.istio.io/merge-metrics", "maybe", /is not true or false$/],
  ["inject.istio.io/templates", "sidecar,nowhere", /there is no template "nowhere"; there are sidecar, gateway$/],
  ["proxy.istio.io/config", "a: [", /not YAML/],
  ["proxy.istio.io/config", "- a", /must be a mapping/],
  ["proxy.istio.io/config", "concurrency: many", /field concurrency must be a whole number/],
  ["proxy.istio.io/config", "drainDuration: 45", /field drainDuration must be text, but is 45/],
  ["proxy.istio.io/config", "tracing: {sampling: 101}", /field tracing.sampling must be a number from 0 to 100/],
  ["proxy.istio.io/config", "tracing: {zipkin: here}", /field tracing.zipkin must be a mapping/],
  ["proxy.istio.io/config", "a: &a [x]\nb: [*a, *a]", /not YAML/],
  [
    "proxy.istio.io/config",
    "concurrency: 1\nconcurrency: 2",
    /Map keys must be unique, but "concurrency" is there twice/,
  ],
  [
    "proxy.istio.io/config",
    `proxyMetadata: {A: ${"x".repeat(20_000)}}`,
    /has 20020 characters, which are more than 16384/,
  ],
  ["proxy.istio.io/config", "discoveryAddress: istiod", /field discoveryAddress must be HOST:PORT, but is "istiod"$/],
  [
    "proxy.istio.io/config",
    "proxyStatsMatcher: {inclusionRegexps: ['a[']}",
    /field proxyStatsMatcher.inclusionRegexps\[0\] is/,
  ],
  [
    "proxy.istio.io/config",
    "proxyMetadata: {MINIMUM_DRAIN_DURATION: soon}",
    /field proxyMetadata.MINIMUM_DRAIN_DURATION must/,
  ],
];
for (const [name, value, message] of mistakes) {
  test(`${name}: ${JSON.stringify(value.slice(0, 60))} is refused by name`, () => {
    assert.throws(
      () => inject({ [name]: value }),
      (error) =>
        error instanceof Error && error.message.startsWith(`annotation ${name}: `) && message.test(error.message),
    );
  });
}

test("a request above its limit is refused by name", () => {
  const annotations = { [sidecar("proxyCPU")]: "2", [sidecar("proxyCPULimit")]: "1900m" };
  assert.throws(() => inject(annotations), /annotation sidecar.istio.io\/proxyCPU: 2 is more than the limit 1900m/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { readInjectorValues } from "./injector-values.ts";
import { interceptEverything } from "./pod-contract.ts";

test("Istio's values become settings, and what has no effect is named", () => {
  const { config, warnings } = readInjectorValues(
    {
      revision: "canary",
      global: {
        hub: "docker.io/istio",
        imagePullPolicy: "Always",
        imagePullSecrets: ["regcred"],
        meshID: "mesh1",
        network: "net1",
        multiCluster: { clusterName: "east" },
        proxy: {
          image: "example.com/envoy:v1.40.0",
          logLevel: "debug",
          excludeInboundPorts: 22,
          includeIPRanges: "10.0.0.0/8",
          resources: { requests: { cpu: 1, memory: "64Mi" } },
        },
        proxy_init: { image: "proxyv2" },
      },
      sidecarInjectorWebhook: { rewriteAppHTTPProbe: false, neverInjectSelector: [{ matchLabels: { job: "yes" } }] },
    },
    "values.yaml",
  );
  assert.deepEqual(config, {
    revision: "canary",
    imagePullPolicy: "Always",
    imagePullSecrets: ["regcred"],
    meshId: "mesh1",
    network: "net1",
    clusterId: "east",
    proxyImage: "example.com/envoy:v1.40.0",
    proxyLogLevel: "debug",
    resources: { requests: { cpu: "1", memory: "64Mi" }, limits: {} },
    rewriteAppProbes: false,
    neverInjectSelector: [{ matchLabels: { job: "yes" } }],
    interception: { ...interceptEverything, excludeInboundPorts: [22], includeOutboundRanges: ["10.0.0.0/8"] },
  });
  assert.deepEqual(warnings, ["values.yaml: global.hub has no effect on what is injected here"]);
});

test("of the tracers' addresses the one counts whose tracer is chosen", () => {
  const tracing = (tracer: string | undefined, zipkin?: object) => {
    const tracers = { zipkin, datadog: { address: "$(HOST_IP):8126" } };
    const global = { tracer: tracers, istioNamespace: "mesh", proxy: { tracer } };
    const written: unknown = JSON.parse(JSON.stringify({ global }));
    return readInjectorValues(written, "v.yaml").config.proxyConfig?.tracing;
  };
  assert.equal(tracing(undefined), undefined);
  assert.equal(tracing("none", { address: "a:1" }), undefined);
  assert.deepEqual(tracing("datadog", { address: "a:1" }), { datadog: { address: "$(HOST_IP):8126" } });
  assert.deepEqual(tracing("zipkin", { address: "a:1" }), { zipkin: { address: "a:1" } });
  assert.deepEqual(tracing("zipkin"), { zipkin: { address: "zipkin.mesh:9411" } }, "as the chart has it");
});

test("values that say nothing change nothing", () => {
  for (const nothing of [null, {}, { global: {} }, { global: { proxy: {} } }]) {
    assert.deepEqual(readInjectorValues(nothing, "values.yaml"), { config: {}, warnings: [] });
  }
});

test("what the chart would write into the mesh's defaultConfig counts, under what is written there", () => {
  const { config, warnings } = readInjectorValues(
    {
      revisionTags: ["prod"],
      pilot: { cni: { enabled: true }, env: { ENABLE_NATIVE_SIDECARS: "false" } },
      global: {
        variant: "distroless",
        sds: { token: { aud: "mine" } },
        tracer: { zipkin: { address: "zipkin:9411" }, datadog: { address: "$(HOST_IP):8126" } },
        proxy: {
          tracer: "zipkin",
          autoInject: "disabled",
          holdApplicationUntilProxyStarts: true,
          readinessPeriodSeconds: 3,
        },
      },
      meshConfig: { enablePrometheusMerge: false, defaultConfig: { concurrency: 3, image: { imageType: "debug" } } },
      sidecarInjectorWebhook: { templates: { extra: "metadata: {labels: {extra: 'yes'}}\n" } },
    },
    "values.yaml",
  );
  assert.deepEqual(config, {
    revisionTags: ["prod"],
    interceptionBy: "node",
    nativeSidecars: false,
    tokenAudience: "mine",
    policy: "disabled",
    mergeMetrics: false,
    proxyConfig: {
      concurrency: 3,
      image: { imageType: "debug" },
      holdApplicationUntilProxyStarts: true,
      readinessProbe: { periodSeconds: 3 },
      tracing: { zipkin: { address: "zipkin:9411" } },
    },
    templates: { extra: { metadata: { labels: { extra: "yes" } } } },
  });
  assert.deepEqual(warnings, []);
});

const bad: readonly [title: string, read: () => unknown, message: RegExp][] = [
  [
    "a bad port",
    () => readInjectorValues({ global: { proxy: { excludeInboundPorts: "ssh" } } }, "v.yaml"),
    /v\.yaml: global\.proxy\.excludeInboundPorts: "ssh"/,
  ],
  [
    "a bad policy",
    () => readInjectorValues({ global: { imagePullPolicy: "Often" } }, "v.yaml"),
    /v\.yaml: global\.imagePullPolicy must be one of/,
  ],
  [
    "an address that is none",
    () =>
      readInjectorValues({ global: { proxy: { tracer: "zipkin" }, tracer: { zipkin: { address: "a b" } } } }, "v.yaml"),
    /v\.yaml: the proxies' tracing\.zipkin\.address must be HOST:PORT/,
  ],
  [
    "a Go template",
    () => readInjectorValues({ sidecarInjectorWebhook: { templates: { own: "{{ .Values.x }}" } } }, "v.yaml"),
    /v\.yaml: sidecarInjectorWebhook\.templates\.own holds \{\{…\}\}: Go templates are not evaluated/,
  ],
  [
    "a Go template in an annotation",
    () => readInjectorValues({ sidecarInjectorWebhook: { injectedAnnotations: { a: "{{ .X }}" } } }, "v.yaml"),
    /v\.yaml: sidecarInjectorWebhook\.injectedAnnotations\.a holds/,
  ],
  [
    "a template that is no part of a pod",
    () => readInjectorValues({ sidecarInjectorWebhook: { templates: { own: "spec: 1" } } }, "v.yaml"),
    /v\.yaml: sidecarInjectorWebhook\.templates\.own is not a part of a pod/,
  ],
  [
    "a bad meshConfig",
    () => readInjectorValues({ meshConfig: { enablePrometheusMerge: "yes" } }, "v.yaml"),
    /v\.yaml: meshConfig: enablePrometheusMerge/,
  ],
];
for (const [title, read, message] of bad) {
  test(`${title} is refused, naming the file and the field`, () => assert.throws(read, message));
}

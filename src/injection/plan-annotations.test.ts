import assert from "node:assert/strict";
import { test } from "node:test";
import { applyPlan } from "./apply.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import { buildPlan, type PlanInput } from "./plan.ts";
import type { PodManifest } from "./pod.ts";

/** What each annotation changes, said as the difference from the pod that gets none. */

type Fields = Readonly<Record<string, unknown>>;

interface Case {
  readonly annotations: Readonly<Record<string, string>>;
  /** Fields of the container `istio-proxy`. */
  readonly proxy?: Fields;
  /** Fields of the container `istio-init`; the environment variables that differ, by name. */
  readonly init?: Fields;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly volumes?: readonly object[];
  readonly warnings?: readonly RegExp[];
}

const sidecar = (name: string) => `sidecar.istio.io/${name}`;
const config = (yaml: string) => ({ "proxy.istio.io/config": yaml });
const discovery = "trysail.trysail-system.svc:15012";
const args = (...changed: string[]) => ["-c", "/etc/istio/proxy/envoy.json", ...changed, "--disable-hot-restart"];
const usual = ["--concurrency", "2", "--log-level", "warning", "--component-log-level", "misc:error"];
const env45 = ["--drain-time-s", "45", "--drain-strategy", "immediate"];
const proxyConfig = (fields: object) => ({
  PROXY_CONFIG: JSON.stringify({ ...fields, discoveryAddress: discovery }),
});

const quietly = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"];
const distroless = {
  image: "envoyproxy/envoy:distroless-v1.40.0",
  lifecycle: { preStop: { exec: { command: ["envoy", "-c", "/etc/istio/proxy/pre-stop.json", ...quietly] } } },
};
const tasks = '{"preStop":{"kind":"drain","holdSeconds":5,"untilIdle":false}}';

const cases: readonly Case[] = [
  { annotations: { [sidecar("proxyImage")]: "my/envoy:1" }, proxy: { image: "my/envoy:1" } },
  { annotations: { [sidecar("proxyImageType")]: "default" } },
  {
    annotations: { [sidecar("proxyImageType")]: "distroless" },
    proxy: distroless,
    env: { PROXY_LIFECYCLE_TASKS: tasks },
  },
  {
    annotations: { [sidecar("proxyCPU")]: "1500m" },
    proxy: { resources: { requests: { cpu: "1500m" } } },
    env: { PROXY_MEMORY_LIMIT: undefined },
  },
  {
    annotations: { [sidecar("proxyCPULimit")]: "3500m", [sidecar("proxyMemory")]: "64Mi" },
    proxy: {
      resources: { requests: { memory: "64Mi" }, limits: { cpu: "3500m" } },
      args: args("--concurrency", "4", ...usual.slice(2), ...env45),
    },
    env: { PROXY_MEMORY_LIMIT: undefined },
  },
  {
    annotations: { [sidecar("proxyMemoryLimit")]: "1Gi" },
    proxy: { resources: { limits: { memory: "1Gi" } } },
  },
  {
    annotations: { [sidecar("logLevel")]: "debug", [sidecar("componentLogLevel")]: "upstream:trace,misc:error" },
    proxy: {
      args: args(
        "--concurrency",
        "2",
        "--log-level",
        "debug",
        ...["--component-log-level", "upstream:trace,misc:error"],
        ...env45,
      ),
    },
  },
  {
    annotations: { [sidecar("agentLogLevel")]: "default:debug" },
    warnings: [/agentLogLevel has no effect: there is no agent/],
  },
  { annotations: { [sidecar("interceptionMode")]: "REDIRECT" } },
  {
    annotations: { [sidecar("interceptionMode")]: "TPROXY" },
    env: { ISTIO_META_INTERCEPTION_MODE: "TPROXY" },
    proxy: {
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
        privileged: false,
        readOnlyRootFilesystem: true,
        runAsGroup: 1337,
        runAsNonRoot: false,
        runAsUser: 0,
        seccompProfile: { type: "RuntimeDefault" },
      },
    },
  },
  {
    annotations: { [sidecar("interceptionMode")]: "NONE" },
    env: { ISTIO_META_INTERCEPTION_MODE: "NONE" },
    init: { args: ["init", "--bootstrap-only"], securityContext: restricted() },
  },
  {
    annotations: { [sidecar("discoveryAddress")]: "istiod.istio-system.svc:15012" },
    env: { PROXY_CONFIG: '{"discoveryAddress":"istiod.istio-system.svc:15012"}' },
  },
  {
    annotations: {
      [sidecar("userVolume")]: '{"extra":{"emptyDir":{}}}',
      [sidecar("userVolumeMount")]: '{"extra":{"mountPath":"/x"}}',
    },
    volumes: [{ name: "extra", emptyDir: {} }],
    proxy: { volumeMounts: [...mounts(), { name: "extra", mountPath: "/x" }] },
  },
  {
    annotations: { [sidecar("userVolume")]: '[{"name":"extra","secret":{"secretName":"s"}}]' },
    volumes: [{ name: "extra", secret: { secretName: "s" } }],
  },
  {
    annotations: { [sidecar("bootstrapOverride")]: "my-bootstrap" },
    volumes: [{ name: "custom-bootstrap-volume", configMap: { name: "my-bootstrap" } }],
    env: { ISTIO_BOOTSTRAP_OVERRIDE: "/etc/istio/custom-bootstrap/custom_bootstrap.json" },
    init: {
      volumeMounts: [
        { name: "istio-envoy", mountPath: "/etc/istio/proxy" },
        { name: "istio-podinfo", mountPath: "/etc/istio/pod", readOnly: true },
        { name: "custom-bootstrap-volume", mountPath: "/etc/istio/custom-bootstrap", readOnly: true },
      ],
    },
  },
  {
    annotations: { "status.sidecar.istio.io/port": "15030" },
    env: proxyConfigLast({ statusPort: 15030 }),
    init: { args: ["init", "--status-port=15030"] },
  },
  {
    annotations: { [sidecar("extraStatTags")]: "b,a", ...config("extraStatTags: [a, c]") },
    env: { PROXY_CONFIG: JSON.stringify({ extraStatTags: ["a", "c", "b"], discoveryAddress: discovery }) },
  },
  {
    annotations: { [sidecar("extraStatTags")]: "a,b" },
    env: proxyConfigLast({ extraStatTags: ["a", "b"] }),
  },
  {
    annotations: { [sidecar("statsInclusionPrefixes")]: "cluster,http", [sidecar("statsInclusionRegexps")]: "^a.*" },
    env: proxyConfigLast({ proxyStatsMatcher: { inclusionPrefixes: ["cluster", "http"], inclusionRegexps: ["^a.*"] } }),
  },
  {
    annotations: { [sidecar("statsInclusionSuffixes")]: "rq_time" },
    env: proxyConfigLast({ proxyStatsMatcher: { inclusionSuffixes: ["rq_time"] } }),
  },
  { annotations: { [sidecar("statsEvictionInterval")]: "5m" }, env: proxyConfigLast({ statsEvictionInterval: "5m" }) },
  {
    annotations: { [sidecar("statsHistogramBuckets")]: '{"istio":[1,5,10]}' },
  },
  { annotations: { [sidecar("enableCoreDump")]: "true" }, warnings: [/enableCoreDump has no effect/] },
  {
    annotations: { "status.sidecar.istio.io/port": "0" },
    proxy: { readinessProbe: undefined, startupProbe: undefined },
  },
  { annotations: { "status.sidecar.istio.io/port": "15020" }, env: proxyConfigLast({ statusPort: 15020 }) },
  {
    annotations: { "status.sidecar.istio.io/port": "15020", ...config("statusPort: 15030") },
    env: { PROXY_CONFIG: JSON.stringify({ statusPort: 15020, discoveryAddress: discovery }) },
  },
  {
    annotations: {
      "readiness.status.sidecar.istio.io/initialDelaySeconds": "3",
      "readiness.status.sidecar.istio.io/periodSeconds": "7",
      "readiness.status.sidecar.istio.io/failureThreshold": "9",
    },
    proxy: {
      readinessProbe: {
        httpGet: { path: "/healthz/ready", port: 15021 },
        initialDelaySeconds: 3,
        timeoutSeconds: 3,
        periodSeconds: 7,
        failureThreshold: 9,
      },
    },
  },
  {
    annotations: { "readiness.status.sidecar.istio.io/applicationPorts": "80" },
    warnings: [/applicationPorts has no effect/],
  },
  {
    annotations: { "traffic.sidecar.istio.io/excludeInterfaces": "eth1, tun0" },
    init: { args: ["init", "--exclude-interfaces=eth1,tun0"] },
  },
  {
    annotations: { "istio.io/reroute-virtual-interfaces": "tap0" },
    init: { args: ["init", "--reroute-virtual-interfaces=tap0"] },
  },
  {
    annotations: { "traffic.sidecar.istio.io/kubevirtInterfaces": "tap0" },
    init: { args: ["init", "--reroute-virtual-interfaces=tap0"] },
  },

  {
    annotations: config("concurrency: 0\ndrainDuration: 1m30s\nfileFlushInterval: 2s\nfileFlushMinSizeKb: 8"),
    proxy: {
      args: args(
        ...usual.slice(2),
        "--drain-time-s",
        "90",
        "--drain-strategy",
        "immediate",
        "--file-flush-interval-msec",
        "2000",
        "--file-flush-min-size-kb",
        "8",
      ),
    },
    env: proxyConfig({ concurrency: 0, drainDuration: "1m30s", fileFlushInterval: "2s", fileFlushMinSizeKb: 8 }),
  },
  {
    annotations: config("proxyMetadata: {ISTIO_META_X: $1, ISTIO_META_CLUSTER_ID: other, FLAG: true}"),
    env: {
      ...proxyConfig({ proxyMetadata: { ISTIO_META_X: "$$1", ISTIO_META_CLUSTER_ID: "other", FLAG: true } }),
      ISTIO_META_X: "$$1",
      ISTIO_META_CLUSTER_ID: "other",
      FLAG: "true",
    },
    proxy: {
      env: [
        { name: "ISTIO_META_X", value: "$$1" },
        { name: "ISTIO_META_CLUSTER_ID", value: "other" },
        { name: "FLAG", value: "true" },
      ],
    },
  },
  {
    annotations: config(
      "{tracing: {datadog: {address: '$(HOST_IP):8126'}}, proxyMetadata: {A: 'on $(HOST_IP) in $(POD_NAME), $(HOME)'}}",
    ),
    env: {
      HOST_IP: "",
      PROXY_CONFIG: JSON.stringify({
        tracing: { datadog: { address: "$(HOST_IP):8126" } },
        proxyMetadata: { A: "on $(HOST_IP) in $(POD_NAME), $$(HOME)" },
        discoveryAddress: discovery,
      }),
      A: "on $(HOST_IP) in $(POD_NAME), $$(HOME)",
    },
    proxy: {
      env: [
        { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
        { name: "HOST_IP", valueFrom: { fieldRef: { fieldPath: "status.hostIP" } } },
        { name: "A", value: "on $(HOST_IP) in $(POD_NAME), $$(HOME)" },
      ],
    },
  },
  {
    annotations: config("tracing: {sampling: 10.5, zipkin: {address: 'zipkin:9411'}}"),
    env: proxyConfig({ tracing: { sampling: 10.5, zipkin: { address: "zipkin:9411" } } }),
  },
  {
    annotations: config("image: {imageType: distroless}"),
    proxy: distroless,
    env: { ...proxyConfig({ image: { imageType: "distroless" } }), PROXY_LIFECYCLE_TASKS: tasks },
  },
  {
    annotations: config("readinessProbe: {periodSeconds: 3}"),
    proxy: {
      readinessProbe: {
        httpGet: { path: "/healthz/ready", port: 15021 },
        timeoutSeconds: 3,
        periodSeconds: 3,
        failureThreshold: 4,
      },
    },
    env: proxyConfig({ readinessProbe: { periodSeconds: 3 } }),
  },
  { annotations: config("meshId: other"), env: { ...proxyConfig({ meshId: "other" }), ISTIO_META_MESH_ID: "other" } },
  { annotations: config("discoveryAddress: a:1"), env: { PROXY_CONFIG: '{"discoveryAddress":"a:1"}' } },
  {
    annotations: config("configPath: /x\nnoSuchField: 1"),
    env: proxyConfig({ configPath: "/x" }),
    warnings: [/ProxyConfig has no field noSuchField/, /configPath has no effect/],
  },
  {
    annotations: { [sidecar("noSuchThing")]: "1" },
    warnings: [/^annotation sidecar.istio.io\/noSuchThing is unknown/],
  },
  { annotations: { [sidecar("proxycpu")]: "1" }, warnings: [/did you mean sidecar.istio.io\/proxyCPU\?$/] },
  { annotations: { "proxy.istio.io/konfig": "" }, warnings: [/proxy.istio.io\/konfig is unknown/] },
  { annotations: { "traffic.sidecar.istio.io/includeInboundPort": "" }, warnings: [/includeInboundPort is unknown/] },
  { annotations: { "networking.istio.io/exportTo": "." } },
];

const spec: PodManifest["spec"] = { containers: [{ name: "app" }] };
const plain = inject({});

for (const { annotations, proxy = {}, init = {}, env = {}, volumes = [], warnings = [] } of cases) {
  test(`${JSON.stringify(annotations)}`, () => {
    const { pod, warnings: said } = inject(annotations);
    assert.deepEqual(containerOf(pod, "istio-proxy"), changed(containerOf(plain.pod, "istio-proxy"), proxy));
    const { env: variables, ...rest } = containerOf(pod, "istio-init");
    const { env: usualVariables, ...usualRest } = containerOf(plain.pod, "istio-init");
    assert.deepEqual(rest, changed(usualRest, init));
    assert.deepEqual(byName(variables), changed({ ...byName(usualVariables), ...env }, {}));
    assert.deepEqual(pod.spec.volumes, [...(plain.pod.spec.volumes ?? []), ...volumes]);
    assert.equal(said.length, warnings.length, said.join("\n"));
    for (const [index, pattern] of warnings.entries()) assert.match(said[index] ?? "", pattern);
  });
}

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

test("probes stay where they are with rewriteAppHTTPProbers: false", () => {
  const pod = {
    metadata: { annotations: { [sidecar("rewriteAppHTTPProbers")]: "false" } },
    spec: { containers: [{ name: "app", readinessProbe: { httpGet: { port: 80 } } }] },
  };
  const after = applyPlan(pod, buildPlan({ pod, namespace: "shop", config: defaultInjectionConfig }));
  assert.deepEqual(after.spec.containers, pod.spec.containers);
});

test("a status port of the pod's choice is where Prometheus and the kubelet are led to", () => {
  const annotations = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "15020",
    "sidecar.istio.io/nativeSidecar": "false",
    ...config("{ statusPort: 16000, proxyMetadata: { EXIT_ON_ZERO_ACTIVE_CONNECTIONS: 'true' } }"),
  };
  const readinessProbe = { httpGet: { port: 80 } };
  const livenessProbe = { httpGet: { port: 16000 } };
  const containers = [{ name: "app", readinessProbe, livenessProbe }];
  const own = { metadata: { annotations }, spec: { containers } };
  const pod = applyPlan(own, buildPlan({ pod: own, namespace: "shop", config: defaultInjectionConfig }));
  const app = containerOf(pod, "app");
  assert.deepEqual(app.readinessProbe, { httpGet: { port: 16000, path: "/app-health/app/readyz" } });
  assert.deepEqual(app.livenessProbe, livenessProbe, "the status port answers the kubelet itself");
  assert.equal(pod.metadata?.annotations?.["prometheus.io/port"], "16000");
  const { ISTIO_PROMETHEUS_ANNOTATIONS: metrics = "" } = byName(containerOf(pod, "istio-init").env);
  assert.deepEqual(JSON.parse(metrics), { port: 15020, path: "/metrics", scheme: "http" }, "now a port like any other");
  const [preStop] = [JSON.stringify(containerOf(pod, "istio-proxy").lifecycle)];
  assert.match(preStop, /\*\[_:\]16000\.\*/, "a scrape keeps no proxy alive");
  assert.doesNotMatch(preStop, /15020/);
});

test("the pod's ProxyConfig is over the selected one, and that over the mesh's", () => {
  const mesh = { concurrency: 1, meshId: "m", proxyMetadata: { A: "mesh", B: "mesh", C: "mesh" } };
  const selected = { concurrency: 2, proxyMetadata: { B: "selected", C: "selected" } };
  const { pod } = inject(config("proxyMetadata: {C: own}"), { proxyConfig: mesh }, { proxyConfig: selected });
  const text = byName(containerOf(pod, "istio-init").env).PROXY_CONFIG ?? "";
  assert.deepEqual(JSON.parse(text), {
    concurrency: 2,
    meshId: "m",
    proxyMetadata: { A: "mesh", B: "selected", C: "own" },
    discoveryAddress: discovery,
  });
});

test("an app with the sidecar's own user or group is warned about", () => {
  const warnings = (spec: PodManifest["spec"]) => {
    return buildPlan({ pod: { spec }, namespace: "shop", config: defaultInjectionConfig }).warnings;
  };
  const asUser = { containers: [{ name: "app", securityContext: { runAsUser: 1337 } }] };
  assert.match(warnings(asUser)[0] ?? "", /^container app runs as user 1337, .* bypasses the mesh$/);
  const asGroup = { containers: [{ name: "app" }], securityContext: { runAsGroup: 1337 } };
  assert.match(warnings(asGroup)[0] ?? "", /group 1337/);
  assert.deepEqual(warnings({ containers: [{ name: "app" }], securityContext: { runAsUser: 0 } }), []);
});

test("on OpenShift the proxy takes the second user and group of the namespace's ranges", () => {
  const namespaceAnnotations = {
    "openshift.io/sa.scc.uid-range": "1000620000/10000",
    "openshift.io/sa.scc.supplemental-groups": "1000630000/10000",
  };
  const { pod } = inject({}, { platform: "openshift" }, { namespaceAnnotations });
  const { securityContext } = containerOf(pod, "istio-proxy");
  assert.deepEqual(securityContext, { ...restricted(), runAsUser: 1000620001, runAsGroup: 1000630001 });
  assert.deepEqual(containerOf(pod, "istio-init").args, ["init", "--proxy-uid=1000620001", "--proxy-gid=1000630001"]);
  assert.equal(pod.spec.securityContext, undefined, "OpenShift chooses fsGroup itself");
});

test("the mesh's own labels, annotations, pull secrets and policy are added", () => {
  const { pod } = inject(
    { "team/b": "own" },
    {
      injectedLabels: { "team/a": "1" },
      injectedAnnotations: { "team/b": "mesh", "team/c": "mesh" },
      imagePullSecrets: ["registry"],
      imagePullPolicy: "Always",
    },
  );
  assert.equal(pod.metadata?.labels?.["team/a"], "1");
  assert.equal(pod.metadata?.annotations?.["team/b"], "own");
  assert.equal(pod.metadata?.annotations?.["team/c"], "mesh");
  assert.deepEqual(Reflect.get(pod.spec, "imagePullSecrets"), [{ name: "registry" }]);
  assert.match(pod.metadata?.annotations?.["sidecar.istio.io/status"] ?? "", /"imagePullSecrets":\["registry"\]/);
  for (const name of ["istio-init", "istio-proxy"]) assert.equal(containerOf(pod, name).imagePullPolicy, "Always");
});

test("with a plug-in on the node no container of the pod has a capability", () => {
  const { pod } = inject({}, { interceptionBy: "node" });
  assert.deepEqual(containerOf(pod, "istio-init").securityContext, restricted());
  assert.deepEqual(containerOf(pod, "istio-init").args, ["init", "--bootstrap-only"]);
  assert.deepEqual(containerOf(pod, "istio-proxy").securityContext, restricted());
});

function inject(
  annotations: Readonly<Record<string, string>>,
  changes: Partial<InjectionConfig> = {},
  more: Partial<PlanInput> = {},
): { pod: PodManifest; warnings: readonly string[] } {
  const pod = { metadata: { name: "web", annotations: { ...annotations } }, spec };
  const plan = buildPlan({ pod, namespace: "shop", config: { ...defaultInjectionConfig, ...changes }, ...more });
  return { pod: applyPlan(pod, plan), warnings: plan.warnings };
}

function containerOf({ spec }: PodManifest, name: string): Record<string, unknown> {
  const found = [...(spec.initContainers ?? []), ...spec.containers].find((container) => container.name === name);
  assert.ok(found, `the pod has no ${name}`);
  return { ...found };
}

/** `undefined` takes a field away. */
function changed(fields: Fields, changes: Fields): Fields {
  const entries = Object.entries({ ...fields, ...changes }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries);
}

function byName(env: unknown): Record<string, string> {
  const entries = Array.isArray(env) ? env : [];
  return Object.fromEntries(entries.map(({ name, value = "" }) => [name, value]));
}

function proxyConfigLast(fields: object) {
  return { PROXY_CONFIG: JSON.stringify({ discoveryAddress: discovery, ...fields }) };
}

function restricted() {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsGroup: 1337,
    runAsNonRoot: true,
    runAsUser: 1337,
    seccompProfile: { type: "RuntimeDefault" },
  };
}

function mounts() {
  return [
    { name: "istio-envoy", mountPath: "/etc/istio/proxy", readOnly: true },
    { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
    { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio", readOnly: true },
  ];
}

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  byName,
  config,
  containerOf,
  discovery,
  inject,
  restricted,
  sidecar,
} from "../../test/support/injected-pod.ts";

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

/** `undefined` takes a field away. */
function changed(fields: Fields, changes: Fields): Fields {
  const entries = Object.entries({ ...fields, ...changes }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries);
}

function proxyConfigLast(fields: object) {
  return { PROXY_CONFIG: JSON.stringify({ discoveryAddress: discovery, ...fields }) };
}

function mounts() {
  return [
    { name: "istio-envoy", mountPath: "/etc/istio/proxy", readOnly: true },
    { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
    { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio", readOnly: true },
  ];
}

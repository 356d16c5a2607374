import assert from "node:assert/strict";
import { test } from "node:test";
import { applyPlan } from "./apply.ts";
import { interceptionFlags } from "./init-container.ts";
import { defaultInjectionConfig } from "./injection-config.ts";
import { buildPlan } from "./plan.ts";
import { labelsOf, type PodManifest, type Probe } from "./pod.ts";
import { interceptEverything, PROXY_PORT } from "./pod-contract.ts";
import { scriptOf } from "./proxy-lifecycle.ts";

const config = defaultInjectionConfig;

const drain = scriptOf({ kind: "drain", holdSeconds: 5, untilIdle: false }, PROXY_PORT);

test("a pod of a Deployment becomes exactly this one", () => {
  const pod = {
    metadata: {
      generateName: "web-5f6d7c9b8-",
      labels: { app: "web", version: "v2", "pod-template-hash": "5f6d7c9b8" },
      annotations: { note: "kept" },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5f6d7c9b8", controller: true }],
    },
    spec: {
      serviceAccountName: "web",
      initContainers: [{ name: "migrate", image: "web" }],
      containers: [
        {
          name: "app",
          image: "web",
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: {
            httpGet: { path: "/ready?deep=1", port: "http", httpHeaders: [{ name: "X-Cost", value: "$5 $(HOME)" }] },
            periodSeconds: 5,
          },
          livenessProbe: { httpGet: { path: "/live", port: 8443, scheme: "HTTPS" }, timeoutSeconds: 7 },
        },
        { name: "helper", image: "helper", livenessProbe: { tcpSocket: { port: 9000 } } },
      ],
      volumes: [{ name: "data", emptyDir: {} }],
    },
  };
  const injected = {
    metadata: {
      generateName: "web-5f6d7c9b8-",
      labels: {
        app: "web",
        version: "v2",
        "pod-template-hash": "5f6d7c9b8",
        "security.istio.io/tlsMode": "istio",
        "service.istio.io/canonical-name": "web",
        "service.istio.io/canonical-revision": "v2",
      },
      annotations: {
        note: "kept",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "15020",
        "prometheus.io/path": "/stats/prometheus",
        "kubectl.kubernetes.io/default-container": "app",
        "kubectl.kubernetes.io/default-logs-container": "app",
        "istio.io/rev": "default",
        "sidecar.istio.io/status":
          '{"initContainers":["istio-init","istio-proxy"],"containers":null,"volumes":["istio-envoy","istio-token",' +
          '"istiod-ca-cert","istio-podinfo"],"imagePullSecrets":null,"revision":"default"}',
      },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5f6d7c9b8", controller: true }],
    },
    spec: {
      serviceAccountName: "web",
      securityContext: { fsGroup: 1337 },
      initContainers: [
        {
          name: "istio-init",
          image: "trysail/trysail",
          args: ["init"],
          env: [
            { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
            { name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
            { name: "INSTANCE_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
            { name: "INSTANCE_IPS", valueFrom: { fieldRef: { fieldPath: "status.podIPs" } } },
            { name: "SERVICE_ACCOUNT", valueFrom: { fieldRef: { fieldPath: "spec.serviceAccountName" } } },
            { name: "PROXY_CONFIG", value: '{"discoveryAddress":"trysail.trysail-system.svc:15012"}' },
            { name: "ISTIO_META_NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
            { name: "ISTIO_META_CLUSTER_ID", value: "Kubernetes" },
            { name: "ISTIO_META_MESH_ID", value: "cluster.local" },
            { name: "ISTIO_META_INTERCEPTION_MODE", value: "REDIRECT" },
            { name: "ISTIO_META_WORKLOAD_NAME", value: "web" },
            { name: "ISTIO_META_OWNER", value: "kubernetes://apis/apps/v1/namespaces/shop/deployments/web" },
            { name: "ISTIO_META_APP_CONTAINERS", value: "app,helper" },
            { name: "ISTIO_META_POD_PORTS", value: '[{"name":"http","containerPort":8080}]' },
            { name: "PROXY_MEMORY_LIMIT", value: "1073741824" },
            {
              name: "ISTIO_KUBE_APP_PROBERS",
              value:
                '{"/app-health/app/readyz":{"httpGet":{"path":"/ready?deep=1","port":8080,' +
                '"httpHeaders":[{"name":"X-Cost","value":"$$5 $$(HOME)"}]}},' +
                '"/app-health/app/livez":{"httpGet":{"path":"/live","port":8443,"scheme":"HTTPS"},"timeoutSeconds":7},' +
                '"/app-health/helper/livez":{"tcpSocket":{"port":9000}}}',
            },
          ],
          resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
            privileged: false,
            readOnlyRootFilesystem: false,
            runAsGroup: 0,
            runAsNonRoot: false,
            runAsUser: 0,
            seccompProfile: { type: "RuntimeDefault" },
          },
          volumeMounts: [
            { name: "istio-envoy", mountPath: "/etc/istio/proxy" },
            { name: "istio-podinfo", mountPath: "/etc/istio/pod", readOnly: true },
          ],
        },
        {
          name: "istio-proxy",
          image: "envoyproxy/envoy:v1.40.0",
          restartPolicy: "Always",
          command: ["envoy"],
          args: [
            ...["-c", "/etc/istio/proxy/envoy.json", "--concurrency", "2", "--log-level", "warning"],
            ...[
              "--component-log-level",
              "misc:error",
              "--drain-time-s",
              "45",
              "--drain-strategy",
              "immediate",
              "--disable-hot-restart",
            ],
          ],
          ports: [{ name: "http-envoy-prom", containerPort: 15090, protocol: "TCP" }],
          startupProbe: {
            httpGet: { path: "/healthz/ready", port: 15021 },
            periodSeconds: 1,
            timeoutSeconds: 3,
            failureThreshold: 600,
          },
          readinessProbe: {
            httpGet: { path: "/healthz/ready", port: 15021 },
            periodSeconds: 15,
            timeoutSeconds: 3,
            failureThreshold: 4,
          },
          lifecycle: { preStop: { exec: { command: ["/bin/bash", "-c", drain] } } },
          resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ["ALL"] },
            privileged: false,
            readOnlyRootFilesystem: true,
            runAsGroup: 1337,
            runAsNonRoot: true,
            runAsUser: 1337,
            seccompProfile: { type: "RuntimeDefault" },
          },
          volumeMounts: [
            { name: "istio-envoy", mountPath: "/etc/istio/proxy", readOnly: true },
            { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
            { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio", readOnly: true },
          ],
        },
        { name: "migrate", image: "web" },
      ],
      containers: [
        {
          name: "app",
          image: "web",
          ports: [{ name: "http", containerPort: 8080 }],
          readinessProbe: {
            httpGet: {
              path: "/app-health/app/readyz",
              port: 15021,
              httpHeaders: [{ name: "X-Cost", value: "$5 $(HOME)" }],
            },
            periodSeconds: 5,
          },
          livenessProbe: { httpGet: { path: "/app-health/app/livez", port: 15021, scheme: "HTTP" }, timeoutSeconds: 7 },
        },
        {
          name: "helper",
          image: "helper",
          livenessProbe: { httpGet: { path: "/app-health/helper/livez", port: 15021 } },
        },
      ],
      volumes: [
        { name: "data", emptyDir: {} },
        { name: "istio-envoy", emptyDir: {} },
        {
          name: "istio-token",
          projected: {
            sources: [{ serviceAccountToken: { audience: "istio-ca", expirationSeconds: 43200, path: "istio-token" } }],
          },
        },
        { name: "istiod-ca-cert", configMap: { name: "trysail-ca-root-cert" } },
        {
          name: "istio-podinfo",
          downwardAPI: {
            items: [
              { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
              { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
            ],
          },
        },
      ],
    },
  };
  assert.deepEqual(inject(pod), injected);
});

const named = (labels: Record<string, string>) => labelsOf(inject({ metadata: { name: "solo", labels }, spec }));
const spec: PodManifest["spec"] = { containers: [{ name: "app" }] };

test("a label names the workload otherwise than its owner does", () => {
  const name = (labels: Record<string, string>) => {
    const pod = { metadata: { name: "web-0", labels }, spec: { containers: [{ name: "app" }] } };
    const after = applyPlan(pod, buildPlan({ pod, namespace: "shop", config: defaultInjectionConfig }));
    return /"ISTIO_META_WORKLOAD_NAME","value":"([^"]*)"/.exec(JSON.stringify(after))?.[1];
  };
  assert.deepEqual([name({}), name({ "service.istio.io/workload-name": "web" })], ["web-0", "web"]);
});

test("the canonical name and revision follow Istio's order of labels", () => {
  const name = "service.istio.io/canonical-name";
  const revision = "service.istio.io/canonical-revision";
  assert.equal(named({})[name], "solo");
  assert.equal(named({})[revision], "latest");
  assert.equal(named({ app: "a" })[name], "a");
  assert.equal(named({ app: "a", "app.kubernetes.io/name": "k" })[name], "k");
  assert.equal(named({ version: "1", "app.kubernetes.io/version": "2" })[revision], "2");
  assert.equal(named({ [name]: "mine" })[name], "mine");
  assert.equal(named({ "security.istio.io/tlsMode": "disabled" })["security.istio.io/tlsMode"], "disabled");
});

test("Prometheus is led to one place for all of a pod's metrics, unless merge-metrics is false", () => {
  const scraped = (annotations: Record<string, string>) => {
    const all = inject({ metadata: { annotations }, spec }).metadata?.annotations ?? {};
    return Object.fromEntries(Object.entries(all).filter(([name]) => name.startsWith("prometheus.io/")));
  };
  const merged = {
    "prometheus.io/scrape": "true",
    "prometheus.io/port": "15020",
    "prometheus.io/path": "/stats/prometheus",
  };
  const own = { "prometheus.io/scrape": "true", "prometheus.io/port": "8080" };
  assert.deepEqual(scraped({}), merged);
  assert.deepEqual(scraped(own), merged);
  const optedOut = { ...own, "prometheus.istio.io/merge-metrics": "false" };
  assert.deepEqual(scraped(optedOut), own);
  assert.deepEqual(scraped({ "prometheus.istio.io/merge-metrics": "false" }), {});
});

const owners = [
  { of: { kind: "StatefulSet", name: "db" }, is: "statefulsets/db" },
  { of: { kind: "ReplicaSet", name: "web-abc" }, labels: { "pod-template-hash": "abc" }, is: "deployments/web" },
  { of: { kind: "ReplicaSet", name: "web-abc" }, is: "replicasets/web-abc" },
  { of: { kind: "Job", name: "nightly-29384756" }, is: "cronjobs/nightly" },
  { of: { kind: "Job", name: "once" }, is: "jobs/once" },
];
for (const { of, labels = {}, is } of owners) {
  test(`${of.kind} ${of.name} stands for ${is}`, () => {
    const ownerReferences = [{ apiVersion: "g/v1", controller: true, ...of }];
    const pod = inject({ metadata: { labels, ownerReferences }, spec });
    assert.ok(JSON.stringify(pod).includes(`kubernetes://apis/g/v1/namespaces/shop/${is}"`));
  });
}

test("a pod's own fsGroup stays", () => {
  const pod = { spec: { ...spec, securityContext: { fsGroup: 0, runAsUser: 5 } } };
  assert.deepEqual(inject(pod).spec.securityContext, { fsGroup: 0, runAsUser: 5 });
});

const untouched: Record<string, Probe & Record<string, unknown>> = {
  "an exec probe": { exec: { command: ["true"] } },
  "a probe of another host": { httpGet: { port: 80, host: "10.9.8.7" } },
  "a probe of a port nobody declares": { httpGet: { port: "nowhere" } },
  "a probe of the status port": { httpGet: { port: 15021 } },
};
for (const [title, probe] of Object.entries(untouched)) {
  test(`${title} stays as it is`, () => {
    const pod = { spec: { containers: [{ name: "app", readinessProbe: probe }] } };
    assert.deepEqual(inject(pod).spec.containers, pod.spec.containers);
  });
}

test("probes of the user's own sidecars are moved too", () => {
  const probe = { httpGet: { port: 4000 } };
  const pod = { spec: { ...spec, initContainers: [{ name: "cache", restartPolicy: "Always", startupProbe: probe }] } };
  const moved = inject(pod).spec.initContainers?.at(-1)?.startupProbe;
  assert.deepEqual(moved, { httpGet: { port: 15021, path: "/app-health/cache/startupz" } });
});

const prefix = "traffic.sidecar.istio.io/";
const flags: readonly [annotations: Record<string, string>, flags: readonly string[]][] = [
  [{ includeInboundPorts: "*" }, []],
  [{ includeInboundPorts: "" }, ["--include-inbound-ports="]],
  [{ includeInboundPorts: "80, 443" }, ["--include-inbound-ports=80,443"]],
  [{ excludeInboundPorts: "22" }, ["--exclude-inbound-ports=22"]],
  [{ includeOutboundPorts: "6379" }, ["--include-outbound-ports=6379"]],
  [{ excludeOutboundPorts: "53,3306" }, ["--exclude-outbound-ports=53,3306"]],
  [{ includeOutboundIPRanges: "10.0.0.0/8,fd00::/8" }, ["--include-outbound-ranges=10.0.0.0/8,fd00::/8"]],
  [{ includeOutboundIPRanges: "" }, ["--include-outbound-ranges="]],
  [{ excludeOutboundIPRanges: "169.254.0.0/16" }, ["--exclude-outbound-ranges=169.254.0.0/16"]],
];
for (const [annotations, expected] of flags) {
  test(`${JSON.stringify(annotations)} becomes ${JSON.stringify(expected)}`, () => {
    const [init] = buildPlan({ pod: annotated(annotations), namespace: "shop", config }).initContainers;
    assert.deepEqual(init?.args, ["init", ...expected]);
  });
}

test("a pod that asks for captured DNS has its queries redirected", () => {
  const argsFor = (capture: string) => {
    const annotations = { "proxy.istio.io/config": `{proxyMetadata: {ISTIO_META_DNS_CAPTURE: "${capture}"}}` };
    const { initContainers, warnings } = buildPlan({
      pod: { metadata: { annotations }, spec },
      namespace: "shop",
      config,
    });
    assert.deepEqual(warnings, []);
    return initContainers[0]?.args;
  };
  assert.deepEqual(argsFor("true"), ["init", "--redirect-dns"]);
  assert.deepEqual(argsFor("false"), ["init"]);
});

const mistakes: readonly [annotations: Record<string, string>, message: string][] = [
  [{ includeInboundPorts: "http" }, '"http" is not a port between 1 and 65535'],
  [{ excludeInboundPorts: "0" }, '"0" is not a port between 1 and 65535'],
  [{ excludeOutboundPorts: "80,,81" }, '"" is not a port between 1 and 65535'],
  [{ includeOutboundPorts: "65536" }, '"65536" is not a port between 1 and 65535'],
  [{ includeOutboundPorts: "*" }, '"*" is not a port between 1 and 65535'],
  [{ includeOutboundIPRanges: "10.0.0.1" }, '"10.0.0.1" is not a CIDR range such as 10.0.0.0/8'],
  [{ includeOutboundIPRanges: "10.0.0.0/33" }, '"10.0.0.0/33" is not a CIDR range such as 10.0.0.0/8'],
  [{ excludeOutboundIPRanges: "10.0.0.0/8\n-A X/8" }, '"10.0.0.0/8\\n-A X/8" is not a CIDR range such as 10.0.0.0/8'],
];
for (const [annotations, message] of mistakes) {
  test(`${JSON.stringify(annotations)} is refused by name`, () => {
    const [name = ""] = Object.keys(annotations);
    assert.throws(() => buildPlan({ pod: annotated(annotations), namespace: "shop", config }), {
      code: "invalid-argument",
      message: `annotation ${prefix}${name}: ${message}`,
    });
  });
}

test("volume names that the sidecar needs are refused by field", () => {
  const pod = { spec: { ...spec, volumes: [{ name: "istio-token" }] } };
  assert.throws(() => inject(pod), /^TrysailError: spec\.volumes\[0\]\.name: .* istio-token /);
});

test("what is not said needs no flag", () => assert.deepEqual(interceptionFlags(interceptEverything), []));

function inject(pod: PodManifest): PodManifest {
  return applyPlan(pod, buildPlan({ pod, namespace: "shop", config }));
}

function annotated(annotations: Record<string, string>): PodManifest {
  const entries = Object.entries(annotations).map(([name, value]) => [prefix + name, value]);
  return { metadata: { annotations: Object.fromEntries(entries) }, spec };
}

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
import { applyPlan } from "./apply.ts";
import { defaultInjectionConfig } from "./injection-config.ts";
import { buildPlan } from "./plan.ts";
import type { PodManifest } from "./pod.ts";

/** What becomes of whole pods, by their annotations and the settings of the mesh, the namespace and the platform. */

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

import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultInjectionConfig } from "../injection/injection-config.ts";
import { buildPlan } from "../injection/plan.ts";
import { hasIpv6, parsePodEnvironment } from "./pod-environment.ts";

const required = { POD_NAME: "web-0", POD_NAMESPACE: "shop", SERVICE_ACCOUNT: "web", INSTANCE_IP: "10.1.2.3" };

test("what the webhook writes is read back", () => {
  const probe = {
    httpGet: { port: 80, path: "/$(HOME)", httpHeaders: [{ name: "H", value: "$$" }] },
    timeoutSeconds: 2,
  };
  const annotations = {
    "prometheus.io/scrape": "true",
    "prometheus.io/path": "/$all",
    "sidecar.istio.io/proxyImageType": "distroless",
  };
  const pod = {
    metadata: { annotations },
    spec: { containers: [{ name: "app", ports: [{ containerPort: 80 }], readinessProbe: probe }] },
  };
  const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
  const [init] = buildPlan({ pod, namespace: "shop", owner, config: defaultInjectionConfig }).initContainers;
  assert.ok(Array.isArray(init?.env));
  const env = { ...required, ...Object.fromEntries(init.env.map(expanded)) };
  const { proxyConfig, ...rest } = parsePodEnvironment(env);
  assert.equal(proxyConfig.discoveryAddress, "trysail.trysail-system.svc:15012");
  assert.deepEqual(rest, {
    memoryLimitBytes: 2 ** 30,
    node: {
      name: "web-0",
      namespace: "shop",
      serviceAccount: "web",
      ipAddress: "10.1.2.3",
      domainSuffix: "cluster.local",
      metadata: {
        INSTANCE_IPS: "10.1.2.3",
        CLUSTER_ID: "Kubernetes",
        MESH_ID: "cluster.local",
        INTERCEPTION_MODE: "REDIRECT",
        WORKLOAD_NAME: "web",
        OWNER: "kubernetes://apis/apps/v1/namespaces/shop/deployments/web",
        APP_CONTAINERS: "app",
        POD_PORTS: '[{"containerPort":80}]',
        NODE_NAME: "node-1",
        PROXY_CONFIG: { discoveryAddress: "trysail.trysail-system.svc:15012" },
      },
    },
    probers: { "/app-health/app/readyz": probe },
    appMetrics: { port: 80, path: "/$all", scheme: "http" },
    lifecycleTasks: { preStop: { kind: "drain", holdSeconds: 5, untilIdle: false } },
  });
});

test("the end of a gateway is read back", () => {
  const lifecycleTasks = { preStop: { kind: "drain", holdSeconds: 5, untilIdle: false, isGateway: true } };
  const env = { ...required, PROXY_LIFECYCLE_TASKS: JSON.stringify(lifecycleTasks) };
  assert.deepEqual(parsePodEnvironment(env).lifecycleTasks, lifecycleTasks);
});

test("metadata may be JSON", () => {
  const { node } = parsePodEnvironment({
    ...required,
    ISTIO_METAJSON_EXTRA: '{"a":[1]}',
    INSTANCE_IPS: "10.1.2.3,fd00::3",
  });
  assert.deepEqual(node.metadata, { EXTRA: { a: [1] }, INSTANCE_IPS: "10.1.2.3,fd00::3", PROXY_CONFIG: {} });
});

test("IPv6 is seen in any of the addresses", () => {
  assert.equal(hasIpv6(required), false);
  assert.equal(hasIpv6({ INSTANCE_IP: "fd00::3" }), true);
  assert.equal(hasIpv6({ ...required, INSTANCE_IPS: "10.1.2.3,fd00::3" }), true);
});

const mistakes: readonly [env: Record<string, string>, message: RegExp][] = [
  ...Object.keys(required).map((name): [Record<string, string>, RegExp] => [
    { [name]: "" },
    new RegExp(`${name} is not set`),
  ]),
  [{ INSTANCE_IP: "web" }, /INSTANCE_IP is not an IP address/],
  [{ PROXY_CONFIG: "{" }, /PROXY_CONFIG is not JSON/],
  [{ PROXY_CONFIG: "[]" }, /PROXY_CONFIG is not a JSON object/],
  [{ PROXY_CONFIG: '{"discoveryAddress":[]}' }, /PROXY_CONFIG: field discoveryAddress/],
  [{ PROXY_MEMORY_LIMIT: "1Gi" }, /PROXY_MEMORY_LIMIT is not a number of bytes/],
  [{ ISTIO_KUBE_APP_PROBERS: '{"/x":{}}' }, /ISTIO_KUBE_APP_PROBERS is not a map of HTTP, TCP and gRPC probes/],
  [{ ISTIO_KUBE_APP_PROBERS: '{"/x":{"httpGet":{"port":"http"}}}' }, /ISTIO_KUBE_APP_PROBERS/],
  [{ ISTIO_PROMETHEUS_ANNOTATIONS: '{"port":"80"}' }, /ISTIO_PROMETHEUS_ANNOTATIONS is not a port, path and scheme/],
  [{ PROXY_LIFECYCLE_TASKS: '{"preStop":{"kind":"nap"}}' }, /PROXY_LIFECYCLE_TASKS is not tasks of a proxy's hooks/],
  [{ ISTIO_METAJSON_X: "{" }, /ISTIO_METAJSON_X is not JSON/],
];
for (const [env, message] of mistakes) {
  test(`${JSON.stringify(env)} is refused by name`, () => {
    assert.throws(() => parsePodEnvironment({ ...required, ...env }), message);
  });
}

/** As the kubelet sets it. */
function expanded({ name, value }: { name: string; value?: string }): [string, string] {
  const ofPod: Record<string, string> = { ...required, INSTANCE_IPS: "10.1.2.3", ISTIO_META_NODE_NAME: "node-1" };
  return [name, value?.replaceAll("$$", "$") ?? ofPod[name] ?? ""];
}

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { until } from "../support/until.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { controlPlaneFor, registerInjection, webhookOptions } from "./webhooks.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const RUNS = 150;

/** Fields that are often left out. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const name = fc.stringMatching(/^[a-z]([-a-z0-9]{0,10}[a-z0-9])?$/);
const port = fc.integer({ min: 1, max: 65_535 });
const scheme = fc.constantFrom("HTTP", "HTTPS");
const header = fc.record({ name: fc.constantFrom("Host", "X-Probe"), value: fc.stringMatching(/^[ -~]{1,10}$/) });
const httpGet = fc.record({
  path: maybe(fc.constantFrom("/", "/ready", "/ready?deep=1&x=%20", "ready")),
  port: fc.oneof(port, fc.constantFrom("http", "missing")),
  scheme: maybe(scheme),
  host: maybe(fc.constantFrom("127.0.0.1", "example.com")),
  httpHeaders: maybe(fc.array(header, { maxLength: 2 })),
});
const handler = fc.oneof(
  httpGet.map((value) => ({ httpGet: value })),
  fc.oneof(port, fc.constant("http")).map((value) => ({ tcpSocket: { port: value } })),
  fc.record({ port, service: maybe(fc.constant("health")) }).map((value) => ({ grpc: value })),
  fc.constant({ exec: { command: ["true"] } }),
);
const few = fc.integer({ min: 1, max: 60 });
const probe = fc
  .tuple(handler, fc.record({ timeoutSeconds: maybe(few), periodSeconds: maybe(few), failureThreshold: maybe(few) }))
  .map(([how, when]) => ({ ...when, ...how }));
const hook = fc.oneof(
  httpGet.map((value) => ({ httpGet: value })),
  fc.constant({ exec: { command: ["true"] } }),
  fc.constant({ sleep: { seconds: 1 } }),
);
const container = fc.record({
  name,
  image: fc.constant("example.com/app:1"),
  ports: maybe(
    fc
      .uniqueArray(fc.record({ containerPort: port }), { maxLength: 3, selector: ({ containerPort }) => containerPort })
      .map((ports) => ports.map((entry, index) => (index === 0 ? { ...entry, name: "http" } : entry))),
  ),
  readinessProbe: maybe(probe),
  livenessProbe: maybe(probe),
  startupProbe: maybe(probe),
  lifecycle: maybe(fc.record({ postStart: maybe(hook), preStop: maybe(hook) })),
  securityContext: maybe(
    fc.record({ runAsUser: maybe(fc.constantFrom(0, 1000, 1337)), runAsNonRoot: maybe(fc.boolean()) }),
  ),
  resources: maybe(fc.constantFrom({ limits: { cpu: "1" } }, { requests: { memory: "1Mi" } })),
});
/** What users change about the sidecar itself. */
const override = fc.record({
  name: fc.constant("istio-proxy"),
  image: fc.constantFrom("auto", "example.com/envoy:1"),
  env: maybe(fc.constantFrom([{ name: "A", value: "b" }], [])),
  resources: maybe(fc.constantFrom({ limits: { cpu: "1" } }, { requests: { memory: "1Mi" } })),
  securityContext: maybe(
    fc.record({ runAsUser: maybe(fc.constantFrom(1000, 1337)), readOnlyRootFilesystem: maybe(fc.boolean()) }),
  ),
  lifecycle: maybe(fc.record({ preStop: hook })),
});
const volume = fc.record({ name, emptyDir: fc.constant({}) });
const annotations = fc.record(
  {
    "sidecar.istio.io/nativeSidecar": fc.constantFrom("true", "false"),
    "sidecar.istio.io/interceptionMode": fc.constantFrom("REDIRECT", "TPROXY", "NONE"),
    "sidecar.istio.io/rewriteAppHTTPProbers": fc.constantFrom("true", "false"),
    "sidecar.istio.io/proxyCPU": fc.constantFrom("10m", "1"),
    "proxy.istio.io/config": fc.constantFrom("holdApplicationUntilProxyStarts: true", "concurrency: 1", "{}"),
    "prometheus.io/scrape": fc.constantFrom("true", "false"),
    "prometheus.io/port": fc.constantFrom("8080", "9090"),
    "traffic.sidecar.istio.io/includeInboundPorts": fc.constantFrom("*", "", "80,443"),
  },
  { requiredKeys: [] },
);
const namedOnce = <T extends { readonly name: string }>(arbitrary: fc.Arbitrary<T>, minLength: number) =>
  fc.uniqueArray(arbitrary, { minLength, maxLength: 3, selector: (item) => item.name });
/** Kubernetes takes names four times as long as labels. */
const podName = fc.oneof(name, fc.stringMatching(/^[a-z]([-a-z0-9]{0,200}[a-z0-9])?$/));
const pod = fc.record({
  podName,
  containers: fc
    .tuple(namedOnce(container, 1), fc.option(override, { freq: 4, nil: undefined }))
    .map(([own, wish]) => (wish === undefined ? own : [...own, wish])),
  initContainers: maybe(
    namedOnce(
      fc.oneof(
        fc.record({ name: name.map((text) => `init-${text}`), image: fc.constant("example.com/init:1") }),
        container.map((value) => ({ ...value, name: `side-${value.name}`, restartPolicy: "Always" })),
      ),
      0,
    ),
  ),
  volumes: maybe(namedOnce(volume, 0)),
  securityContext: maybe(
    fc.record({
      fsGroup: maybe(fc.constantFrom(0, 2000)),
      runAsUser: maybe(fc.constantFrom(1000, 1337)),
      runAsNonRoot: maybe(fc.boolean()),
    }),
  ),
  terminationGracePeriodSeconds: maybe(fc.integer({ min: 0, max: 90 })),
  annotations,
});

test("whatever pod Kubernetes takes without a sidecar, it takes with one", { skip, timeout: 180_000 }, async (t) => {
  if ("missing" in found) return;
  const client = await startKubernetes(t, found.programs);
  const mesh = await controlPlaneFor(t, client, { shop: { "istio-injection": "enabled" }, plain: {} });
  await registerInjection(client, webhookOptions(mesh));
  const create = (namespace: string, manifest: object) =>
    client.call("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All`, manifest);
  const simple = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "probe" },
    spec: { containers: [{ name: "app", image: "a" }] },
  };
  await until(
    "the webhook to be asked",
    async () => (await create("shop", simple)).body.spec?.initContainers !== undefined,
  );

  let compared = 0;
  await fc.assert(
    fc.asyncProperty(pod, async ({ podName, annotations, ...spec }) => {
      const manifest = { apiVersion: "v1", kind: "Pod", metadata: { name: podName, annotations }, spec };
      const plain = await create("plain", manifest);
      if (plain.status !== 201) return;
      compared++;
      const { status, body } = await create("shop", manifest);
      assert.equal(status, 201, `${body.message}\n${JSON.stringify(manifest)}`);
      const all = [...body.spec.containers, ...(body.spec.initContainers ?? [])].map(({ name }) => name);
      for (const { name } of [...spec.containers, ...(spec.initContainers ?? [])]) assert.ok(all.includes(name), name);
      assert.ok(all.includes("istio-proxy"));
    }),
    { numRuns: RUNS },
  );
  assert.ok(compared > RUNS / 3, `only ${compared} of ${RUNS} pods were valid without a sidecar`);
});

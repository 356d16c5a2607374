import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { type RenderedObject, renderRelease } from "../chart/rendered.ts";
import { CHART, GATEWAY_CHART, helmMissing, RATE_LIMIT_CHART } from "../support/helm.ts";
import { installIstioKinds } from "./istio-crds.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import { installMonitors } from "./monitor-crds.ts";
import { findKubernetes } from "./programs.ts";
import { startKubernetes } from "./start-kubernetes.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : helmMissing;

/** As in pods, where nobody but Kubernetes knows what they may be. */
const scheduling = {
  nodeSelector: { "kubernetes.io/os": "linux", "example.com/pool": "1" },
  tolerations: [{ key: "example.com/mesh", operator: "Exists", effect: "NoSchedule" }, { operator: "Exists" }],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/arch", operator: "In", values: ["amd64"] }] }],
      },
    },
  },
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: "example.com/rack", whenUnsatisfiable: "DoNotSchedule", labelSelector: {} },
  ],
  imagePullSecrets: ["first", "2"],
  priorityClassName: "system-cluster-critical",
  podAnnotations: {
    "example.com/a": "yes: no # maybe",
    "example.com/b": "{{ braces }}",
    "example.com/c": "two\nlines",
  },
  podLabels: { app: "other", "example.com/team": "a_b.c-1", "app.kubernetes.io/name": "2e3" },
  serviceAccount: { annotations: { "example.com/role": "arn:aws:iam::1:role/mesh" } },
};
const noCrds = { crds: { install: false } };
const LONGEST_RELEASE = "r".repeat(53);

interface Case {
  readonly title: string;
  readonly release?: string;
  readonly namespace?: string;
  readonly values?: object;
}

const cases: Readonly<Record<string, readonly Case[]>> = {
  [CHART]: [
    { title: "nothing" },
    {
      title: "everything",
      values: {
        ...{ ...noCrds, ...scheduling, revision: "canary", revisionTags: ["stable", "default"] },
        autoscaling: { enabled: true, minReplicas: 1, maxReplicas: 1000, targetCPUUtilizationPercentage: 200 },
        serviceMonitor: { enabled: true, labels: { release: "prometheus", app: "prometheus" }, interval: "1m30s" },
        podMonitor: { enabled: true, labels: { release: "prometheus", app: "prometheus" } },
        dashboards: { enabled: true, labels: { grafana_dashboard: "true", app: "grafana" } },
        multiCluster: { enabled: true, clusterName: "East_1.a" },
        credentials: { namespaces: ["*", "default", "kube-public"] },
        certificateRequests: { signerName: "trysail.dev/workload", approval: "own-identity" },
        extraArgs: ["--log-level=debug", "--validation-webhook=a: b # c"],
        meshConfig: {
          trustDomain: "example.org",
          accessLogFile: "/dev/stdout",
          defaultConfig: { holdApplicationUntilProxyStarts: true },
        },
        meshNetworks: {
          east: { endpoints: [{ fromRegistry: "East_1.a" }], gateways: [{ address: "192.0.2.1", port: 1 }] },
        },
        enableNamespacesByDefault: true,
        webhooks: {
          failurePolicy: "Ignore",
          timeoutSeconds: 30,
          annotations: { "admissions.enforcer/disabled": "true" },
        },
        injection: { ignoredNamespaces: ["legacy"], injectedLabels: { team: "1" } },
        resources: { requests: { cpu: 1, memory: "1Gi" }, limits: { cpu: 1.5 } },
        terminationGracePeriodSeconds: 1,
      },
    },
    {
      title: "a signer elsewhere",
      values: {
        ...noCrds,
        externalSigner: { signerName: "example.com/mesh", roots: "configmaps/roots", approve: true },
      },
    },
    {
      title: "as little as can be",
      values: {
        ...{ ...noCrds, replicas: 1, nativeSidecars: false, resources: {}, status: { enabled: false } },
        ...{ podDisruptionBudget: { enabled: false }, networkPolicy: { enabled: false } },
        proxy: { resources: {} },
      },
    },
    { title: "no replica", values: { ...noCrds, replicas: 0 } },
    {
      title: "the longest names",

      release: LONGEST_RELEASE,
      namespace: "n".repeat(63),
      values: { ...noCrds, revision: "r".repeat(55), dashboards: { enabled: true }, podMonitor: { enabled: true } },
    },
    {
      title: "names that YAML takes for something else",

      release: "1e3",
      namespace: "123",
      values: {
        ...noCrds,
        revision: "0",
        revisionTags: ["1", "true", "1e3"],
        image: { tag: "1.10" },
        autoscaling: { enabled: true },
      },
    },
    { title: "a release with a dot", release: "my.mesh", values: noCrds },
  ],
  [GATEWAY_CHART]: [
    { title: "nothing", release: "istio-ingressgateway" },
    {
      title: "everything",

      release: LONGEST_RELEASE,
      values: {
        ...{ ...scheduling, name: "g".repeat(63), revision: "canary", networkGateway: "east", minReadySeconds: 5 },
        service: {
          ports: [
            { name: "https", port: 443, targetPort: "https", nodePort: 30443, protocol: "TCP", appProtocol: "https" },
          ],
          annotations: { "example.com/a": "1" },
          loadBalancerIP: "192.0.2.1",
          loadBalancerClass: "example.com/internal",
          loadBalancerSourceRanges: ["192.0.2.0/24"],
          externalTrafficPolicy: "Local",
          externalIPs: ["192.0.2.2"],
          ipFamilyPolicy: "SingleStack",
          ipFamilies: ["IPv4"],
        },
        podDisruptionBudget: { maxUnavailable: "50%" },
        labels: { app: "1", istio: "true", "example.com/team": "2" },
        annotations: { "example.com/a": "x: y" },
        env: { NUMBER: 1_000_000, TRUTH: true, TEXT: 'a "b" # c: d', FRACTION: 0.5 },
        volumes: [{ name: "data", emptyDir: {} }],
        volumeMounts: [{ name: "data", mountPath: "/data" }],
      },
    },
    {
      title: "another's ServiceAccount, no Service, budget or scaling",

      release: "egress",
      values: {
        ...{ serviceAccount: { create: false, name: "mine" }, podDisruptionBudget: { enabled: false } },
        ...{ autoscaling: { enabled: false }, replicaCount: 0, service: { type: "None" }, resources: {} },
      },
    },
    {
      title: "one a node",

      release: "edge",
      values: { kind: "DaemonSet", service: { type: "NodePort" } },
    },
  ],
  [RATE_LIMIT_CHART]: [
    { title: "counts in memory", release: "limits", values: { inMemory: true, replicas: 1 } },
    {
      title: "everything",

      release: LONGEST_RELEASE,
      values: { ...scheduling, revision: "canary", redis: { secretName: "redis", secretKey: "address" } },
    },
  ],
};

test("whatever the values ask for, a real API server takes it without a word", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const client = await startKubernetes(t, { ...found.programs, controllerManager: null });
  await installMonitors(client);
  const accepted = async (chart: string) => {
    for (const { title, release = "trysail", namespace = "mesh", values = {} } of cases[chart] ?? []) {
      await t.test(`${basename(chart)}: ${title}`, async () => {
        await client.call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
        await client.call("POST", `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: "default" } });
        for (const object of await renderRelease(release, chart, namespace, values)) await accepts(client, object);
      });
    }
  };
  // The first brings CRDs, of which another one has an object.
  await accepted(CHART);
  await accepted(GATEWAY_CHART);
  await installIstioKinds(client, ["PeerAuthentication"]);
  await accepted(RATE_LIMIT_CHART);
});

/** Asserts that an object would be created as it is: no field is unknown, there twice or of the wrong type. */
async function accepts(client: KubernetesClient, object: RenderedObject): Promise<void> {
  const path = `${await collectionOf(client, object)}?dryRun=All&fieldValidation=Strict`;
  const { status, body, warnings } = await client.call("POST", path, object);
  assert.deepEqual([status, warnings], [201, []], `${object.kind} ${object.metadata.name}: ${body.message}`);
}

async function collectionOf(client: KubernetesClient, { apiVersion, kind, metadata }: RenderedObject): Promise<string> {
  const api = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { body } = await client.call("GET", api);
  const resource = body.resources?.find(
    (each: { kind: string; name: string }) => each.kind === kind && !each.name.includes("/"),
  );
  assert.ok(resource, `${apiVersion} ${kind} is not served`);
  const place = resource.namespaced
    ? `/namespaces/${metadata.namespace ?? assert.fail(`${kind} without a namespace`)}`
    : "";
  return `${api}${place}/${resource.name}`;
}

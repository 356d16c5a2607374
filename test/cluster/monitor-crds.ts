import { create } from "./create.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";

const text = { type: "string" };
const texts = { type: "object", additionalProperties: text };
const selector = { type: "object", properties: { matchLabels: texts } };
const endpoints = {
  type: "array",
  items: {
    type: "object",
    properties: { port: text, path: text, interval: { ...text, pattern: "^(([0-9]+)(y|w|d|h|m|s|ms))*$" } },
  },
};

/**
 * The part of the Prometheus operator's CRDs that charts use, as its API reference has it: what is not in here is a mistake.
 * https://prometheus-operator.dev/docs/api-reference/api/
 */
export async function installMonitors(client: KubernetesClient): Promise<void> {
  const namespaceSelector = { type: "object", properties: { any: { type: "boolean" } } };
  await install(client, "ServiceMonitor", { selector, endpoints });
  await install(client, "PodMonitor", { selector, namespaceSelector, podMetricsEndpoints: endpoints });
}

async function install(client: KubernetesClient, kind: string, properties: object): Promise<void> {
  const [group, singular] = ["monitoring.coreos.com", kind.toLowerCase()];
  const plural = `${singular}s`;
  const schema = { type: "object", properties: { spec: { type: "object", required: ["selector"], properties } } };
  await create(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind, plural, singular, listKind: `${kind}List` },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  });
  await create(client, `/apis/${group}/v1/namespaces/default/${plural}?dryRun=All`, {
    apiVersion: `${group}/v1`,
    kind,
    metadata: { name: "probe" },
    spec: { selector: {} },
  });
}

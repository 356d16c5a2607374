import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import {
  buildInjectionWebhooks,
  buildValidationWebhooks,
  type WebhookOptions,
} from "../../src/control-plane/webhook-configurations.ts";
import { defaultInjectionConfig } from "../../src/injection/injection-config.ts";
import type { TestControlPlane } from "../support/control-plane.ts";
import { testControlPlane } from "../support/control-plane.ts";
import { create } from "./create.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";

const REGISTRATION = "/apis/admissionregistration.k8s.io/v1";

/** Namespaces both in Kubernetes and in the folder of a control plane, which does not watch clusters yet. */
export async function controlPlaneFor(
  t: TestContext,
  client: KubernetesClient,
  namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>,
  files: Readonly<Record<string, string>> = {},
): Promise<TestControlPlane> {
  const objects = Object.entries(namespaces).map(([name, labels]) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels },
  }));
  for (const namespace of objects) await create(client, "/api/v1/namespaces", namespace);
  for (const { metadata } of objects) {
    // A pod needs its service account, which a controller makes; where there is none, the test does.
    const accounts = `/api/v1/namespaces/${metadata.name}/serviceaccounts`;
    await client.call("POST", accounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default" } });
  }
  return testControlPlane(t, {
    "namespaces.json": JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
    ...files,
  });
}

export function webhookOptions(mesh: TestControlPlane, overrides: Partial<WebhookOptions> = {}): WebhookOptions {
  return {
    revision: "default",
    revisionTags: [],
    enableNamespacesByDefault: false,
    systemNamespace: "trysail-system",
    ignoredNamespaces: defaultInjectionConfig.ignoredNamespaces,
    target: { url: `https://127.0.0.1:${mesh.ports.https}` },
    failurePolicy: "Fail",
    timeoutSeconds: 10,
    ...overrides,
    // Where a cluster is served, the root is not in a folder.
    caBundlePem: overrides.caBundlePem ?? readFileSync(mesh.rootPath, "utf8"),
  };
}

export async function registerInjection(client: KubernetesClient, options: WebhookOptions): Promise<void> {
  await create(client, `${REGISTRATION}/mutatingwebhookconfigurations`, buildInjectionWebhooks(options));
}

export async function registerValidation(client: KubernetesClient, options: WebhookOptions): Promise<void> {
  await create(client, `${REGISTRATION}/validatingwebhookconfigurations`, buildValidationWebhooks(options));
}

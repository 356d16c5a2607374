import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { listAll } from "../kubernetes/list-all.ts";
import type { KubernetesObject } from "../kubernetes/object.ts";
import { resourcePath } from "../kubernetes/resource-path.ts";
import { LabelSelector } from "../mesh/label-selector.ts";

const Webhook = Type.Object({
  name: Type.String(),
  clientConfig: Type.Object({
    caBundle: Type.Optional(Type.String()),
    url: Type.Optional(Type.String()),
    service: Type.Optional(
      Type.Object({ name: Type.String(), namespace: Type.String(), port: Type.Optional(Type.Integer()) }),
    ),
  }),
  failurePolicy: Type.Optional(Type.Union([Type.Literal("Fail"), Type.Literal("Ignore")])),
  timeoutSeconds: Type.Optional(Type.Integer()),
  namespaceSelector: Type.Optional(LabelSelector),
  objectSelector: Type.Optional(LabelSelector),
});
const webhookValidator = Compile(Webhook);
export type InstalledWebhook = Static<typeof Webhook>;

/** A webhook configuration of anybody's, as far as it can be read. */
export interface InstalledConfiguration {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly webhooks: readonly InstalledWebhook[];
}

/** Those of one kind, in order of their names, as the API server asks them. Rejects as the client's `list`. */
export async function installedConfigurations(
  client: Pick<KubernetesClient, "list">,
  resource: "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
): Promise<readonly InstalledConfiguration[]> {
  const objects = await listAll(client, resourcePath({ apiVersion: "admissionregistration.k8s.io/v1", resource }));
  return objects.map(parseConfiguration).sort((a, b) => (a.name < b.name ? -1 : 1));
}

function parseConfiguration({ metadata, webhooks }: KubernetesObject): InstalledConfiguration {
  const written: readonly unknown[] = Array.isArray(webhooks) ? webhooks : [];
  return {
    name: metadata.name ?? "",
    labels: metadata.labels ?? {},
    webhooks: written.filter((webhook) => webhookValidator.Check(webhook)),
  };
}

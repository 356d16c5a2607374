import { webhookConfigurationNames } from "../../control-plane/webhook-configurations.ts";
import { readRevisions, revisionOf } from "../revisions.ts";
import { type InstalledWebhook, installedConfigurations } from "../webhook-configuration.ts";
import type { CheckTarget } from "./check.ts";

export type NamedWebhook = InstalledWebhook & { readonly configuration: string };

/** Every webhook that leads to the control plane, of its revision's configurations and its tags'. */
export async function ownWebhooks({ client, revision }: CheckTarget): Promise<readonly NamedWebhook[]> {
  const { revisions, tags } = await readRevisions(client);
  const validating = await installedConfigurations(client, "validatingwebhookconfigurations");
  const ours = [
    ...[...revisions, ...tags].filter((configuration) => revisionOf(configuration) === revision),
    ...validating.filter(({ name }) => name === webhookConfigurationNames(revision).validating),
  ];
  return ours.flatMap(({ name, webhooks }) => webhooks.map((webhook) => ({ ...webhook, configuration: name })));
}

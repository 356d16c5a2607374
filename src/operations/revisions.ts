import { TAG_LABEL } from "../control-plane/tag-webhooks.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { listAll } from "../kubernetes/list-all.ts";
import type { KubernetesObject } from "../kubernetes/object.ts";
import { selects } from "../mesh/label-selector.ts";
import { type InstalledConfiguration, installedConfigurations } from "./webhook-configuration.ts";

/** The control planes that a cluster's webhooks lead to, and the tags beside them. */
export interface Revisions {
  readonly revisions: readonly InstalledConfiguration[];
  readonly tags: readonly InstalledConfiguration[];
  /** Of anybody else. */
  readonly others: readonly InstalledConfiguration[];
}

const REVISION_LABEL = "istio.io/rev";
const OURS = /^trysail-(sidecar-injector|revision-tag-)/;

/** Rejects as the client's `list`. */
export async function readRevisions(client: Pick<KubernetesClient, "list">): Promise<Revisions> {
  const all = await installedConfigurations(client, "mutatingwebhookconfigurations");
  const ours = all.filter(({ name, labels }) => OURS.test(name) && labels[REVISION_LABEL] !== undefined);
  return {
    revisions: ours.filter(({ labels }) => labels[TAG_LABEL] === undefined),
    tags: ours.filter(({ labels }) => labels[TAG_LABEL] !== undefined),
    others: all.filter((configuration) => !ours.includes(configuration)),
  };
}

export function revisionOf({ labels }: InstalledConfiguration): string {
  return labels[REVISION_LABEL] ?? "";
}

export function tagOf({ labels }: InstalledConfiguration): string {
  return labels[TAG_LABEL] ?? "";
}

/** Namespaces whose pods one of the webhooks is asked about, for what the namespace's own labels say. */
export function namespacesUnder(
  { webhooks }: InstalledConfiguration,
  namespaces: readonly KubernetesObject[],
): readonly string[] {
  const asking = ({ metadata }: KubernetesObject): boolean => {
    const labels = metadata.labels ?? {};
    const saysSomething = labels[REVISION_LABEL] !== undefined || labels["istio-injection"] !== undefined;
    return saysSomething && webhooks.some(({ namespaceSelector = {} }) => selects(namespaceSelector, labels));
  };
  return namespaces.filter(asking).map(({ metadata }) => metadata.name ?? "");
}

/** Labels are all that is read of them. */
export function readNamespaces(client: Pick<KubernetesClient, "list">): Promise<readonly KubernetesObject[]> {
  return listAll(client, "/api/v1/namespaces", { metadataOnly: true });
}

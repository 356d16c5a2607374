import { buildTagObjects, type TagObject, tagConfigurationName } from "../control-plane/tag-webhooks.ts";
import type { WebhookOptions } from "../control-plane/webhook-configurations.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import { resourcePath } from "../kubernetes/resource-path.ts";
import { TrysailError } from "../platform/errors.ts";
import { namespacesUnder, type Revisions, readNamespaces, readRevisions, revisionOf, tagOf } from "./revisions.ts";
import type { InstalledConfiguration, InstalledWebhook } from "./webhook-configuration.ts";

export interface RevisionTag {
  readonly tag: string;
  readonly revision: string;
  /** Whose pods it leads to the revision. */
  readonly namespaces: readonly string[];
}

const FIELD_MANAGER = "trysail-tag";
/** Its names end in the tag, and Kubernetes' names in 63 characters. */
const TAG = /^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/;
const PLURALS: Readonly<Record<TagObject["kind"], string>> = {
  MutatingWebhookConfiguration: "mutatingwebhookconfigurations",
  ClusterRole: "clusterroles",
  ClusterRoleBinding: "clusterrolebindings",
};

export async function listTags(client: Pick<KubernetesClient, "list">): Promise<readonly RevisionTag[]> {
  const [{ tags }, namespaces] = [await readRevisions(client), await readNamespaces(client)];
  return tags.map((configuration) => ({
    tag: tagOf(configuration),
    revision: revisionOf(configuration),
    namespaces: namespacesUnder(configuration, namespaces),
  }));
}

/**
 * The objects that make a tag of an installed revision. Rejects with `invalid-argument` for a name that cannot be one,
 * `not-found` where the revision is not installed, `already-exists` where the name is a revision's or, unless
 * `overwrite`, another tag's.
 */
export async function planTag(
  client: Pick<KubernetesClient, "list">,
  { tag, revision, overwrite }: { readonly tag: string; readonly revision: string; readonly overwrite: boolean },
): Promise<readonly TagObject[]> {
  if (!TAG.test(tag)) {
    throw new TrysailError("invalid-argument", `${tag} cannot be a tag: up to 40 lower-case letters, digits and -`);
  }
  const installed = await readRevisions(client);
  const to = installed.revisions.find((configuration) => revisionOf(configuration) === revision);
  if (to === undefined) throw notInstalled(revision, installed);
  // The tag `default` is asked in front of a revision of that name, which finds the pods injected.
  if (tag !== "default" && installed.revisions.some((configuration) => revisionOf(configuration) === tag)) {
    throw new TrysailError("already-exists", `${tag} is a revision itself: choose another name for the tag`);
  }
  const before = installed.tags.find((configuration) => tagOf(configuration) === tag);
  if (before !== undefined && revisionOf(before) !== revision && !overwrite) {
    const message = `tag ${tag} leads to revision ${revisionOf(before)}: --overwrite makes it lead to ${revision}`;
    throw new TrysailError("already-exists", message);
  }
  return buildTagObjects({ tag, revision, ...settingsOf(to) });
}

/** Makes the tag, or moves it in one step: pods are injected by the old revision or by the new one. */
export async function applyTag(client: Pick<KubernetesClient, "patch">, objects: readonly TagObject[]): Promise<void> {
  for (const object of objects) {
    await client.patch(pathOf(object), { type: "apply", object, fieldManager: FIELD_MANAGER, force: true });
  }
}

/** Rejects with `not-found`, and unless `force` with `failed-precondition` where namespaces still use it. */
export async function removeTag(
  client: Pick<KubernetesClient, "list" | "delete">,
  { tag, force }: { readonly tag: string; readonly force: boolean },
): Promise<void> {
  const found = (await listTags(client)).find((known) => known.tag === tag);
  if (found === undefined) throw new TrysailError("not-found", `there is no tag ${tag}: trysail tag list shows them`);
  if (found.namespaces.length > 0 && !force) {
    const users = found.namespaces.join(", ");
    const message = `tag ${tag} is in use by namespaces: ${users}; their new pods would get no sidecar. Relabel them first, or give --force`;
    throw new TrysailError("failed-precondition", message);
  }
  const metadata = { name: tagConfigurationName(tag), labels: {} };
  // The webhook first: nothing must wait for a control plane that no longer keeps it.
  for (const kind of ["MutatingWebhookConfiguration", "ClusterRoleBinding", "ClusterRole"] as const) {
    const apiVersion = kind === "MutatingWebhookConfiguration" ? REGISTRATION : RBAC;
    await client.delete(pathOf({ apiVersion, kind, metadata })).catch((error: unknown) => {
      if (!(error instanceof TrysailError && error.code === "not-found")) throw error;
    });
  }
}

const REGISTRATION = "admissionregistration.k8s.io/v1";
const RBAC = "rbac.authorization.k8s.io/v1";

function pathOf({ apiVersion, kind, metadata: { name } }: TagObject): string {
  return resourcePath({ apiVersion, resource: PLURALS[kind], name });
}

function notInstalled(revision: string, { revisions }: Revisions): TrysailError {
  const known = revisions.map(revisionOf).join(", ") || "none";
  return new TrysailError("not-found", `no control plane of revision ${revision} is installed; there are: ${known}`);
}

type TagSettings = Pick<WebhookOptions, "ignoredNamespaces" | "caBundlePem" | "target" | "failurePolicy"> & {
  readonly timeoutSeconds: number;
  readonly account: { readonly name: string; readonly namespace: string } | null;
};

/** As the revision's own webhooks have them, so that a tag behaves as the revision does. */
function settingsOf({ name, webhooks }: InstalledConfiguration): TagSettings {
  const [webhook] = webhooks;
  if (webhook === undefined) {
    throw new TrysailError("failed-precondition", `${name} holds no webhooks: install the revision again`);
  }
  const { caBundle = "", service, url } = webhook.clientConfig;
  const common = {
    ignoredNamespaces: ignoredIn(webhook),
    caBundlePem: Buffer.from(caBundle, "base64").toString(),
    failurePolicy: webhook.failurePolicy ?? "Fail",
    timeoutSeconds: webhook.timeoutSeconds ?? 10,
  };
  if (service === undefined) return { ...common, target: { url: new URL(url ?? "").origin }, account: null };
  const { name: account, namespace, port = 443 } = service;
  // The chart gives a control plane's Service and account one name.
  return { ...common, target: { service: { name: account, namespace, port } }, account: { name: account, namespace } };
}

function ignoredIn({ namespaceSelector }: InstalledWebhook): readonly string[] {
  const expressions = namespaceSelector?.matchExpressions ?? [];
  const names = expressions.find(({ key, operator }) => key === "kubernetes.io/metadata.name" && operator === "NotIn");
  return names?.values ?? [];
}

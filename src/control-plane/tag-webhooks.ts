import { TAG_PATH } from "../injection/tag-path.ts";
import { buildInjectionWebhooks, type WebhookOptions } from "./webhook-configurations.ts";

/** Istio's own label for them, by which its tools find tags too. */
export const TAG_LABEL = "istio.io/tag";

const LABELS = { app: "trysail", "app.kubernetes.io/part-of": "trysail" };

/** A tag of a revision, and how to reach the control plane of that revision. */
export interface TagOptions
  extends Omit<WebhookOptions, "revisionTags" | "enableNamespacesByDefault" | "systemNamespace"> {
  readonly tag: string;
  /** Of the control plane, which keeps the tag's caBundle; null where it runs outside the cluster. */
  readonly account: { readonly name: string; readonly namespace: string } | null;
}

/**
 * What makes a tag: a MutatingWebhookConfiguration that leads pods of `istio.io/rev: TAG` to a revision, and the right
 * of that revision's control plane to keep its caBundle. Of the tag `default` it leads those of
 * `istio-injection: enabled` as well. The name sorts in front of those of revisions: the API server asks it first, and
 * a revision `default` beside it finds the pods injected.
 */
export function buildTagObjects(options: TagOptions): readonly TagObject[] {
  const { tag, revision, account } = options;
  const name = tagConfigurationName(tag);
  const { webhooks } = buildInjectionWebhooks({
    ...options,
    revision: tag,
    revisionTags: [],
    enableNamespacesByDefault: false,
    systemNamespace: "",
    injectPath: `${TAG_PATH}/${tag}`,
  });
  const labels = { ...LABELS, [TAG_LABEL]: tag, "istio.io/rev": revision };
  const configuration: TagObject = {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name, labels },
    webhooks,
  };
  if (account === null) return [configuration];
  const rbac = { apiVersion: "rbac.authorization.k8s.io/v1", metadata: { name, labels } } as const;
  const rule = {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations"],
    resourceNames: [name],
    verbs: ["patch"],
  };
  return [
    { ...rbac, kind: "ClusterRole", rules: [rule] },
    {
      ...rbac,
      kind: "ClusterRoleBinding",
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [{ kind: "ServiceAccount", ...account }],
    },
    configuration,
  ];
}

/** An object of a tag, all of one name. */
export interface TagObject {
  readonly apiVersion: string;
  readonly kind: "MutatingWebhookConfiguration" | "ClusterRole" | "ClusterRoleBinding";
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly [field: string]: unknown;
}

export function tagConfigurationName(tag: string): string {
  return `trysail-revision-tag-${tag}`;
}

/** Selects the tags that lead to a revision. */
export function tagSelector(revision: string): string {
  return `${TAG_LABEL},istio.io/rev=${revision}`;
}

/** What the API server must be told so that it asks this control plane. */
export interface WebhookOptions {
  /** `default`, or the name under which this one runs beside others. */
  readonly revision: string;
  readonly revisionTags: readonly string[];
  /** Whether pods are injected where neither they nor their namespace say anything; for the default revision alone. */
  readonly enableNamespacesByDefault: boolean;
  readonly systemNamespace: string;
  /** Never injected, the control plane's own among them. */
  readonly ignoredNamespaces: readonly string[];
  /** The roots by which the API server checks the control plane's certificate. */
  readonly caBundlePem: string;
  /** Where the control plane answers: inside the cluster a Service, outside `https://HOST:PORT`. */
  readonly target:
    | { readonly url: string }
    | { readonly service: { readonly name: string; readonly namespace: string; readonly port: number } };
  /** Where the control plane is away: whether pods of the mesh, and Istio's objects, are refused or let through. */
  readonly failurePolicy: "Fail" | "Ignore";
  readonly timeoutSeconds: number;
  /** Where pods are reviewed, `/inject` unless said. */
  readonly injectPath?: string;
}

interface WebhookConfiguration {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: object;
  readonly webhooks: readonly object[];
}

const INJECT = "sidecar.istio.io/inject";
const NAMESPACE_INJECT = "istio-injection";
const REVISION = "istio.io/rev";
const NAMESPACE_NAME = "kubernetes.io/metadata.name";
const DEFAULT_REVISION = "default";

interface Requirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

/**
 * The MutatingWebhookConfiguration for `/inject`. Its selectors say what `decide` says, as far as labels go, so that
 * no pod outside the mesh waits for the control plane, or for its return.
 */
export function buildInjectionWebhooks(options: WebhookOptions): WebhookConfiguration {
  const revisions = [options.revision, ...options.revisionTags];
  const notOptedOut: Requirement = { key: INJECT, operator: "NotIn", values: ["false"] };
  const silent: readonly Requirement[] = [absent(NAMESPACE_INJECT), absent(REVISION)];
  const byRevision = [
    webhook("rev.namespace", [absent(NAMESPACE_INJECT), isOneOf(REVISION, revisions)], [notOptedOut]),
    webhook("rev.object", silent, [notOptedOut, isOneOf(REVISION, revisions)]),
  ];
  const byDefault = [
    webhook("namespace", [isOneOf(NAMESPACE_INJECT, ["enabled"])], [notOptedOut]),
    webhook("object", silent, [isOneOf(INJECT, ["true"]), absent(REVISION)]),
  ];
  const unasked: Requirement = { key: INJECT, operator: "NotIn", values: ["true", "false"] };
  if (options.enableNamespacesByDefault) byDefault.push(webhook("auto", silent, [unasked, absent(REVISION)]));
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: webhookConfigurationNames(options.revision).mutating, labels: { [REVISION]: options.revision } },
    webhooks: revisions.includes(DEFAULT_REVISION) ? [...byRevision, ...byDefault] : byRevision,
  };

  function webhook(name: string, namespaces: readonly Requirement[], pods: readonly Requirement[]) {
    const notIgnored: Requirement = { key: NAMESPACE_NAME, operator: "NotIn", values: options.ignoredNamespaces };
    return {
      name: `${name}.sidecar-injector.trysail.io`,
      ...common(options, options.injectPath ?? "/inject"),
      failurePolicy: options.failurePolicy,
      // Asked again where a later webhook changed the pod: injecting twice is injecting once.
      reinvocationPolicy: "IfNeeded",
      namespaceSelector: { matchExpressions: [...namespaces, notIgnored] },
      objectSelector: { matchExpressions: pods },
      rules: [
        { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], scope: "Namespaced" },
      ],
      matchConditions: [
        { name: "not-on-the-host-network", expression: "!(has(object.spec.hostNetwork) && object.spec.hostNetwork)" },
      ],
    };
  }
}

/** Istio's, and our own. */
const VALIDATED_GROUPS = [
  ...["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"],
  "trysail.dev",
];

/**
 * The ValidatingWebhookConfiguration for `/validate`. In the control plane's own namespace nothing depends on it: that
 * is where it is installed together with objects of these kinds.
 */
export function buildValidationWebhooks(options: WebhookOptions): object {
  const own = [options.systemNamespace];
  const rules = VALIDATED_GROUPS.map((group) => ({
    operations: ["CREATE", "UPDATE"],
    apiGroups: [group],
    apiVersions: ["*"],
    resources: ["*"],
    scope: "Namespaced",
  }));
  const webhook = (name: string, failurePolicy: "Fail" | "Ignore", operator: "In" | "NotIn") => ({
    name: `${name}.trysail.io`,
    ...common(options, "/validate"),
    failurePolicy,
    namespaceSelector: { matchExpressions: [{ key: NAMESPACE_NAME, operator, values: own }] },
    rules,
  });
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: {
      name: webhookConfigurationNames(options.revision).validating,
      labels: { [REVISION]: options.revision },
    },
    webhooks: [webhook("validation", options.failurePolicy, "NotIn"), webhook("own.validation", "Ignore", "In")],
  };
}

function common({ target, caBundlePem, timeoutSeconds }: WebhookOptions, path: string) {
  const caBundle = Buffer.from(caBundlePem).toString("base64");
  const where = "url" in target ? { url: `${target.url}${path}` } : { service: { ...target.service, path } };
  return {
    admissionReviewVersions: ["v1"],
    // Dry runs are answered like all else, and leave no trace.
    sideEffects: "None",
    timeoutSeconds,
    matchPolicy: "Equivalent",
    clientConfig: { ...where, caBundle },
  };
}

/** Under which the configurations of a revision are known to Kubernetes. */
export function webhookConfigurationNames(revision: string): { mutating: string; validating: string } {
  const suffix = revision === DEFAULT_REVISION ? "" : `-${revision}`;
  return { mutating: `trysail-sidecar-injector${suffix}`, validating: `trysail-validator${suffix}` };
}

function absent(key: string): Requirement {
  return { key, operator: "DoesNotExist" };
}

function isOneOf(key: string, values: readonly string[]): Requirement {
  return { key, operator: "In", values };
}

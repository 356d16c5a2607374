import type { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { selects } from "../mesh/label-selector.ts";
import { ANNOTATION } from "./annotations.ts";
import { type ExtensionPlan, planExtension } from "./extend.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { parseJsonObject } from "./json-object.ts";
import { LABEL } from "./labels.ts";
import { buildPlan, type InjectionPlan } from "./plan.ts";
import { annotationsOf, labelsOf, type PodManifest } from "./pod.ts";
import { CONTAINER_NAME } from "./pod-contract.ts";
import type { Owner } from "./workload-owner.ts";

/** A decision is data: the log, the metric and the tests read the same reason. */
export type Decision =
  | { readonly inject: true; readonly plan: InjectionPlan | ExtensionPlan }
  | { readonly inject: false; readonly reason: SkipReason };

export interface SkipReason {
  readonly code: SkipReasonCode;
  /** One sentence for people. */
  readonly message: string;
}

/** Stable: metrics and scripts know them. */
export type SkipReasonCode =
  | "namespace-ignored"
  | "static-pod"
  | "windows"
  | "host-network"
  | "already-injected"
  | "injected-by-other"
  | "pod-opted-out"
  | "never-selected"
  | "namespace-opted-out"
  | "other-revision"
  | "not-selected"
  | "policy-disabled";

export interface DecisionInput {
  readonly pod: PodManifest;
  /** The pod's namespace; the pod itself often does not say while it is being admitted. */
  readonly namespace: string;
  /** Absent where whoever asks has selected the pod already, as `trysail inject` has. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  /** Where they changed moments ago: by these the API server may still choose which revision it asks. */
  readonly formerNamespaceLabels?: Readonly<Record<string, string>>;
  /** Where OpenShift keeps the range of users that the namespace's pods may run as. */
  readonly namespaceAnnotations?: Readonly<Record<string, string>>;
  /** What made the pod, where the pod does not say. */
  readonly owner?: Owner;
  /** Of the ProxyConfig resources that select the pod. */
  readonly proxyConfig?: ProxyConfig;
  readonly config: InjectionConfig;
}

/**
 * Whether the pod gets a sidecar and, if so, what it gets. The answer is the one Istio's webhook configuration and
 * its injector give together: https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/
 *
 * @throws TrysailError `invalid-argument` where the pod is to be injected and cannot be, naming the cause.
 */
export function decide(input: DecisionInput): Decision {
  const reason = skipReason(input);
  if (reason === null) return { inject: true, plan: buildPlan(input) };
  const extension = reason.code === "already-injected" ? planExtension(input.pod, input.config) : null;
  return extension === null ? { inject: false, reason } : { inject: true, plan: extension };
}

const INJECT = LABEL.inject.name;
const NAMESPACE_INJECT = LABEL.namespaceInjection.name;
const REVISION = LABEL.revision.name;
const DEFAULT_REVISION = "default";

type Predicate = (input: DecisionInput) => SkipReason | null;

/** The first that gives a reason decides. */
const predicates: readonly Predicate[] = [
  namespaceIgnored,
  staticPod,
  windows,
  hostNetwork,
  alreadyInjected,
  podOptedOut,
  neverSelected,
  namespaceOptedOut,
  otherRevision,
  notSelected,
  policyDisabled,
];

export function skipReason(input: DecisionInput): SkipReason | null {
  for (const predicate of predicates) {
    const reason = predicate(input);
    if (reason !== null) return reason;
  }
  return null;
}

function namespaceIgnored({ namespace, config }: DecisionInput): SkipReason | null {
  if (!config.ignoredNamespaces.includes(namespace)) return null;
  return { code: "namespace-ignored", message: `Pods in namespace ${namespace} are never injected.` };
}

/** The kubelet runs these from a file; the API server only mirrors what runs already. */
function staticPod({ pod }: DecisionInput): SkipReason | null {
  const annotations = annotationsOf(pod);
  const source = annotations["kubernetes.io/config.source"];
  const isStatic = source !== undefined && source !== "api";
  if (!isStatic && annotations["kubernetes.io/config.mirror"] === undefined) return null;
  return {
    code: "static-pod",
    message: "The pod is run by its node from a file (a static pod) and only mirrored here.",
  };
}

/** Neither Envoy's image nor the init container's is made for it. */
function windows({ pod }: DecisionInput): SkipReason | null {
  const { os, nodeSelector } = pod.spec;
  if (os?.name !== "windows" && nodeSelector?.["kubernetes.io/os"] !== "windows") return null;
  return { code: "windows", message: "The pod is for Windows nodes." };
}

/** Redirecting the traffic of such a pod would redirect the whole node's. */
function hostNetwork({ pod }: DecisionInput): SkipReason | null {
  if (pod.spec.hostNetwork !== true) return null;
  return { code: "host-network", message: "The pod uses the node's network (spec.hostNetwork)." };
}

/** The annotation alone proves nothing: people copy it along with a running pod's manifest. */
function alreadyInjected({ pod, config }: DecisionInput): SkipReason | null {
  const status = annotationsOf(pod)[ANNOTATION.status.name];
  if (status === undefined) return null;
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  if (!containers.some(({ name }) => name === CONTAINER_NAME.proxy)) return null;
  const revision = revisionIn(status);
  if (revision === undefined || revision === config.revision) {
    return { code: "already-injected", message: `The pod has a container ${CONTAINER_NAME.proxy} already.` };
  }
  return { code: "injected-by-other", message: `The pod is injected already, by revision ${revision}.` };
}

/** Of the control plane that injected a pod, by what is written on it (`sidecar.istio.io/status`), as by Istio's. */
export function revisionIn(status: string): string | undefined {
  const value: { readonly revision?: unknown } = parseJsonObject(status) ?? {};
  return typeof value.revision === "string" && value.revision !== "" ? value.revision : undefined;
}

function podOptedOut({ pod }: DecisionInput): SkipReason | null {
  const { wish, source, value } = podWish(pod);
  if (wish !== "no") return null;
  return { code: "pod-opted-out", message: `The pod's ${source} ${INJECT} is ${JSON.stringify(value)}.` };
}

/** Selectors speak for pods that say nothing themselves. */
function neverSelected({ pod, config }: DecisionInput): SkipReason | null {
  if (podWish(pod).wish !== "none") return null;
  const index = config.neverInjectSelector.findIndex((selector) => selects(selector, labelsOf(pod)));
  if (index < 0) return null;
  return { code: "never-selected", message: `The mesh's neverInjectSelector[${index}] matches the pod's labels.` };
}

/** Also wins over whatever the pod asks for. */
function namespaceOptedOut({ namespace, namespaceLabels }: DecisionInput): SkipReason | null {
  const value = namespaceLabels?.[NAMESPACE_INJECT];
  if (value === undefined || value === "enabled") return null;
  const message = `Namespace ${namespace} has the label ${NAMESPACE_INJECT}=${value}.`;
  return { code: "namespace-opted-out", message };
}

function otherRevision(input: DecisionInput): SkipReason | null {
  const { pod, namespace, namespaceLabels, formerNamespaceLabels, config } = input;
  const isOurs = ({ revision }: AskedRevision) => [config.revision, ...config.revisionTags].includes(revision);
  const asked = namespaceLabels && askedRevision(pod, namespace, namespaceLabels);
  if (!asked || isOurs(asked)) return null;
  // The other revision is not asked about this pod, so without a sidecar of this one it would have none.
  const before = formerNamespaceLabels && askedRevision(pod, namespace, formerNamespaceLabels);
  if (before && isOurs(before)) return null;
  const message = `${asked.by} asks for revision ${asked.revision}; this one is ${config.revision}.`;
  return { code: "other-revision", message };
}

function notSelected({ pod, namespace, namespaceLabels, config }: DecisionInput): SkipReason | null {
  if (!namespaceLabels || askedRevision(pod, namespace, namespaceLabels)) return null;
  if (config.enableNamespacesByDefault) return null;
  const message = `Neither namespace ${namespace} (${NAMESPACE_INJECT}=enabled or ${REVISION}) nor the pod (label ${INJECT}=true) asks for injection.`;
  return { code: "not-selected", message };
}

function policyDisabled({ pod, config }: DecisionInput): SkipReason | null {
  if (config.policy === "enabled" || podWish(pod).wish === "yes") return null;
  if (config.alwaysInjectSelector.some((selector) => selects(selector, labelsOf(pod)))) return null;
  const message = `The mesh's policy is disabled and the pod does not ask for injection (label ${INJECT}=true).`;
  return { code: "policy-disabled", message };
}

interface AskedRevision {
  readonly revision: string;
  /** Who asks. */
  readonly by: string;
}

/**
 * The revision the pod falls to, by the label that counts most: `istio-injection` before `istio.io/rev`, the
 * namespace before the pod. Null where no label asks for any.
 */
function askedRevision(
  pod: PodManifest,
  namespace: string,
  namespaceLabels: Readonly<Record<string, string>>,
): AskedRevision | null {
  const podLabels = labelsOf(pod);
  if (namespaceLabels[NAMESPACE_INJECT] === "enabled") {
    return { revision: DEFAULT_REVISION, by: `Namespace ${namespace} (${NAMESPACE_INJECT}=enabled)` };
  }
  const ofNamespace = namespaceLabels[REVISION];
  if (ofNamespace !== undefined) return { revision: ofNamespace, by: `Namespace ${namespace}` };
  const ofPod = podLabels[REVISION];
  if (ofPod !== undefined) return { revision: ofPod, by: "The pod" };
  // Outside labelled namespaces only the label counts, and only this spelling: it is what webhook selectors match.
  return podLabels[INJECT] === "true" ? { revision: DEFAULT_REVISION, by: `The pod (${INJECT}=true)` } : null;
}

/** What the pod itself says. The label wins over the older annotation; `""` says nothing. */
function podWish(pod: PodManifest): { wish: "yes" | "no" | "none"; source: "label" | "annotation"; value: string } {
  const label = labelsOf(pod)[INJECT];
  const value = label ?? annotationsOf(pod)[ANNOTATION.inject.name] ?? "";
  const source = label === undefined ? "annotation" : "label";
  if (value === "") return { wish: "none", source, value };
  // The spellings of true that YAML knows, as Istio reads them.
  return { wish: ["true", "yes", "y", "on"].includes(value.toLowerCase()) ? "yes" : "no", source, value };
}

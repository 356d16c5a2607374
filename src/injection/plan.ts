import type { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { TrysailError } from "../platform/errors.ts";
import { readAnnotation } from "./annotation-entry.ts";
import { ANNOTATION } from "./annotations.ts";
import { buildGatewayTemplate, buildSidecarTemplate } from "./built-in-templates.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { NO_METRICS, planMetrics } from "./metrics.ts";
import type { NamedObject } from "./new-container.ts";
import type { PlanContext } from "./plan-context.ts";
import { planWarnings } from "./plan-warnings.ts";
import { annotationsOf, type PodManifest } from "./pod.ts";
import type { PodTemplate } from "./pod-template.ts";
import { type ProbePlan, type ProbeRewrite, planProbes } from "./probes.ts";
import { buildProxySettings } from "./proxy-settings.ts";
import { parseTrafficAnnotations } from "./traffic-annotations.ts";
import { VOLUME_NAMES } from "./volume-names.ts";
import { type Owner, ownerOf } from "./workload-owner.ts";

/** Everything injection does to one pod. Nothing the user wrote is replaced, but for the probes and where Prometheus looks. */
export interface InjectionPlan {
  readonly kind: "inject";
  /** Merged over the pod one after the other. */
  readonly templates: readonly PodTemplate[];
  /** What the templates put in front of the pod's own, before the pod's own wishes are merged over them. */
  readonly initContainers: readonly NamedObject[];
  /** Whether the proxy stands before the app's containers, where it is one of them. */
  readonly proxyFirst: boolean;
  readonly probes: readonly ProbeRewrite[];
  readonly revision: string;
  /** Sentences for whoever creates the pod. */
  readonly warnings: readonly string[];
}

export interface PlanInput {
  readonly pod: PodManifest;
  readonly namespace: string;
  readonly namespaceAnnotations?: Readonly<Record<string, string>>;
  /** What made the pod, where the pod does not say. */
  readonly owner?: Owner;
  /** Of the ProxyConfig resources that select the pod. */
  readonly proxyConfig?: ProxyConfig;
  readonly config: InjectionConfig;
}

/** @throws TrysailError `invalid-argument` naming the annotation or field that stands in the way. */
export function buildPlan(input: PlanInput): InjectionPlan {
  const { pod, namespace, config, owner = ownerOf(pod), namespaceAnnotations = {} } = input;
  assertVolumesFree(pod);
  const names = templateNames(pod, config);
  if (names.includes("sidecar") && names.includes("gateway")) {
    const message = `annotation ${ANNOTATION.templates.name}: a pod is a gateway or has a sidecar, not both`;
    throw new TrysailError("invalid-argument", message);
  }
  const settings = buildProxySettings({ pod, namespaceAnnotations, config, selected: input.proxyConfig ?? {} });
  const isGateway = names.includes("gateway");
  const { rewrites, probers } =
    isGateway || !settings.rewriteAppProbes ? NO_PROBES : planProbes(pod, settings.statusPort);
  const context: PlanContext = {
    pod,
    namespace,
    owner,
    config,
    settings,
    interception: parseTrafficAnnotations(annotationsOf(pod), config.interception),
    probers,
    metrics: settings.mergeMetrics ? planMetrics(annotationsOf(pod), settings.statusPort) : NO_METRICS,
    role: isGateway ? "gateway" : "sidecar",
  };
  const templates = names.map((name) => buildTemplate(name, context));
  return {
    kind: "inject",
    templates,
    initContainers: templates.flatMap(({ spec }) => spec?.initContainers ?? []),
    proxyFirst: isGateway || settings.holdApplication,
    probes: rewrites,
    revision: config.revision,
    warnings: [...settings.warnings, ...planWarnings(context)],
  };
}

const NO_PROBES: ProbePlan = { rewrites: [], probers: {} };

function templateNames(pod: PodManifest, { defaultTemplates, aliases }: InjectionConfig): readonly string[] {
  const asked = readAnnotation(annotationsOf(pod), ANNOTATION.templates) ?? [];
  const names = asked.length === 0 ? defaultTemplates : asked;
  return names.flatMap((name) => (Object.hasOwn(aliases, name) ? (aliases[name] ?? []) : [name]));
}

function buildTemplate(name: string, context: PlanContext): PodTemplate {
  const { templates } = context.config;
  const own = Object.hasOwn(templates, name) ? templates[name] : undefined;
  if (own !== undefined) return own;
  if (name === "sidecar") return buildSidecarTemplate(context);
  if (name === "gateway") return buildGatewayTemplate(context);
  const known = ["sidecar", "gateway", ...Object.keys(templates)].join(", ");
  const message = `annotation ${ANNOTATION.templates.name}: there is no template ${JSON.stringify(name)}; there are ${known}`;
  throw new TrysailError("invalid-argument", message);
}

function assertVolumesFree(pod: PodManifest): void {
  const index = (pod.spec.volumes ?? []).findIndex(({ name }) => VOLUME_NAMES.includes(name));
  const name = pod.spec.volumes?.[index]?.name;
  if (name === undefined) return;
  const message = `spec.volumes[${index}].name: the sidecar needs the name ${name} for itself; choose another`;
  throw new TrysailError("invalid-argument", message);
}

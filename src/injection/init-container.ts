import { readAnnotation } from "./annotation-entry.ts";
import { ANNOTATION } from "./annotations.ts";
import { LABEL } from "./labels.ts";
import type { NamedObject, NewContainer } from "./new-container.ts";
import { ownLimit } from "./own-limit.ts";
import { interceptsInPod, type PlanContext } from "./plan-context.ts";
import { annotationsOf, labelsOf } from "./pod.ts";
import {
  APP_METRICS_ENV,
  APP_PROBERS_ENV,
  CONTAINER_NAME,
  type InterceptionSettings,
  LIFECYCLE_TASKS_ENV,
  POD_PATH,
  PROXY_ID,
} from "./pod-contract.ts";
import { expanded, literal, ofPod, variablesIn } from "./pod-variables.ts";
import { hasShell } from "./proxy-image.ts";
import { lifecycleTasks } from "./proxy-lifecycle.ts";
import { parseQuantity } from "./quantity.ts";
import { redirecting, restricted } from "./security-context.ts";
import { initVolumeMounts } from "./volumes.ts";
import { ownerUri } from "./workload-owner.ts";

/** Runs `trysail init`: writes the proxy's bootstrap and redirects the pod's traffic to it. */
export function buildInitContainer(context: PlanContext): NewContainer {
  const { config, settings } = context;
  const redirects = interceptsInPod(context);
  return {
    name: CONTAINER_NAME.init,
    image: config.initImage,
    ...(config.imagePullPolicy === "" ? {} : { imagePullPolicy: config.imagePullPolicy }),
    args: ["init", ...(redirects ? flagsOf(context) : ["--bootstrap-only"])],
    env: environment(context),
    // What the proxy is given may be too little for the program that prepares it.
    resources: config.resources,
    securityContext: redirects ? redirecting : restricted(settings.ids),
    volumeMounts: initVolumeMounts(settings),
  };
}

function flagsOf({ interception, pod, settings }: PlanContext): readonly string[] {
  const { ids, environment, statusPort } = settings;
  const annotations = annotationsOf(pod);
  const excluded = readAnnotation(annotations, ANNOTATION.excludeInterfaces) ?? [];
  const rerouted =
    readAnnotation(annotations, ANNOTATION.rerouteVirtualInterfaces) ??
    readAnnotation(annotations, ANNOTATION.kubevirtInterfaces) ??
    [];
  return [
    ...interceptionFlags(interception),
    ...(statusPort === undefined ? [] : [`--status-port=${statusPort}`]),
    ...(environment.ISTIO_META_DNS_CAPTURE === "true" ? ["--redirect-dns"] : []),
    ...(excluded.length === 0 ? [] : [`--exclude-interfaces=${excluded.join(",")}`]),
    ...(rerouted.length === 0 ? [] : [`--reroute-virtual-interfaces=${rerouted.join(",")}`]),
    ...(ids.user === PROXY_ID ? [] : [`--proxy-uid=${ids.user}`]),
    ...(ids.group === PROXY_ID ? [] : [`--proxy-gid=${ids.group}`]),
  ];
}

/** The flags of `trysail init` that mean `settings`; what is not said is everything in and everything out. */
export function interceptionFlags(settings: InterceptionSettings): readonly string[] {
  const list = (values: "*" | readonly (string | number)[]) => (values === "*" ? "*" : values.join(","));
  const flags: [string, string, string][] = [
    ["--include-inbound-ports", list(settings.includeInboundPorts), "*"],
    ["--exclude-inbound-ports", list(settings.excludeInboundPorts), ""],
    ["--include-outbound-ports", list(settings.includeOutboundPorts), ""],
    ["--exclude-outbound-ports", list(settings.excludeOutboundPorts), ""],
    ["--include-outbound-ranges", list(settings.includeOutboundRanges), "*"],
    ["--exclude-outbound-ranges", list(settings.excludeOutboundRanges), ""],
  ];
  return flags.flatMap(([flag, value, unsaid]) => (value === unsaid ? [] : [`${flag}=${value}`]));
}

function environment(context: PlanContext): readonly NamedObject[] {
  const { pod, namespace, owner, probers, metrics, config, settings } = context;
  const containers = pod.spec.containers.filter(({ name }) => name !== CONTAINER_NAME.proxy);
  const ports = pod.spec.containers.flatMap((container) => container.ports ?? []);
  const network = labelsOf(pod)[LABEL.network.name] ?? config.network;
  const proxyConfig = JSON.stringify(settings.proxyConfig);
  const variables = [
    ...variablesIn([proxyConfig]).filter(({ name }) => name === "HOST_IP"),
    ofPod("POD_NAME", "metadata.name"),
    ofPod("POD_NAMESPACE", "metadata.namespace"),
    ofPod("INSTANCE_IP", "status.podIP"),
    ofPod("INSTANCE_IPS", "status.podIPs"),
    ofPod("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    expanded("PROXY_CONFIG", proxyConfig),
    // Envoy's node metadata: the prefix comes off on the way.
    ofPod("ISTIO_META_NODE_NAME", "spec.nodeName"),
    literal("ISTIO_META_CLUSTER_ID", config.clusterId),
    literal("ISTIO_META_MESH_ID", settings.proxyConfig.meshId ?? config.meshId),
    ...(network === "" ? [] : [literal("ISTIO_META_NETWORK", network)]),
    literal("ISTIO_META_INTERCEPTION_MODE", context.role === "gateway" ? "NONE" : settings.interceptionMode),
    literal("ISTIO_META_WORKLOAD_NAME", labelsOf(pod)[LABEL.workloadName.name] || owner.name),
    literal("ISTIO_META_OWNER", ownerUri(owner, namespace)),
    literal("ISTIO_META_APP_CONTAINERS", containers.map(({ name }) => name).join(",")),
    literal("ISTIO_META_POD_PORTS", JSON.stringify(ports)),
    ...memoryLimit(context),
    ...(context.role === "gateway" ? [literal("PROXY_TYPE", "router")] : []),
    ...(Object.keys(probers).length === 0 ? [] : [literal(APP_PROBERS_ENV, JSON.stringify(probers))]),
    ...(metrics.app === undefined ? [] : [literal(APP_METRICS_ENV, JSON.stringify(metrics.app))]),
    ...(hasShell(settings.image) ? [] : [literal(LIFECYCLE_TASKS_ENV, JSON.stringify(lifecycleTasks(context)))]),
    ...(settings.bootstrapConfigMap === undefined ? [] : [literal("ISTIO_BOOTSTRAP_OVERRIDE", POD_PATH.override)]),
  ];
  const own = Object.entries(settings.environment).map(([name, value]) => expanded(name, value));
  // What the user's proxyMetadata names wins over what was guessed for it.
  return [...variables.filter(({ name }) => !Object.hasOwn(settings.environment, name)), ...own];
}

/** In bytes, so that Envoy sheds load before the kernel ends it. */
function memoryLimit({ pod, settings }: PlanContext): readonly NamedObject[] {
  const limit = ownLimit(pod, "memory") ?? settings.resources.limits?.memory;
  const bytes = limit === undefined ? undefined : parseQuantity(limit);
  return bytes === undefined || bytes < 1 ? [] : [literal("PROXY_MEMORY_LIMIT", String(Math.floor(bytes)))];
}

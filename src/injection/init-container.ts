import { readAnnotation } from "./annotation-entry.ts";
import { ANNOTATION } from "./annotations.ts";
import type { NamedObject, NewContainer } from "./new-container.ts";
import { interceptsInPod, type PlanContext } from "./plan-context.ts";
import { annotationsOf } from "./pod.ts";
import { APP_PROBERS_ENV, CONTAINER_NAME, type InterceptionSettings, POD_PATH, PROXY_ID } from "./pod-contract.ts";
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

function flagsOf({ interception, pod, settings: { ids } }: PlanContext): readonly string[] {
  const annotations = annotationsOf(pod);
  const excluded = readAnnotation(annotations, ANNOTATION.excludeInterfaces) ?? [];
  const rerouted =
    readAnnotation(annotations, ANNOTATION.rerouteVirtualInterfaces) ??
    readAnnotation(annotations, ANNOTATION.kubevirtInterfaces) ??
    [];
  return [
    ...interceptionFlags(interception),
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
  const { pod, namespace, owner, probers, config, settings } = context;
  const containers = pod.spec.containers.filter(({ name }) => name !== CONTAINER_NAME.proxy);
  const ports = pod.spec.containers.flatMap((container) => container.ports ?? []);
  const network = pod.metadata?.labels?.["topology.istio.io/network"] ?? config.network;
  const variables = [
    ofPod("POD_NAME", "metadata.name"),
    ofPod("POD_NAMESPACE", "metadata.namespace"),
    ofPod("INSTANCE_IP", "status.podIP"),
    ofPod("INSTANCE_IPS", "status.podIPs"),
    ofPod("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    literal("PROXY_CONFIG", JSON.stringify(settings.proxyConfig)),
    // Envoy's node metadata: the prefix comes off on the way.
    ofPod("ISTIO_META_NODE_NAME", "spec.nodeName"),
    literal("ISTIO_META_CLUSTER_ID", config.clusterId),
    literal("ISTIO_META_MESH_ID", settings.proxyConfig.meshId ?? config.meshId),
    ...(network === "" ? [] : [literal("ISTIO_META_NETWORK", network)]),
    literal("ISTIO_META_INTERCEPTION_MODE", context.role === "gateway" ? "NONE" : settings.interceptionMode),
    literal("ISTIO_META_WORKLOAD_NAME", owner.name),
    literal("ISTIO_META_OWNER", ownerUri(owner, namespace)),
    literal("ISTIO_META_APP_CONTAINERS", containers.map(({ name }) => name).join(",")),
    literal("ISTIO_META_POD_PORTS", JSON.stringify(ports)),
    ...memoryLimit(context),
    ...(context.role === "gateway" ? [literal("PROXY_TYPE", "router")] : []),
    ...(Object.keys(probers).length === 0 ? [] : [literal(APP_PROBERS_ENV, JSON.stringify(probers))]),
    ...(settings.bootstrapConfigMap === undefined ? [] : [literal("ISTIO_BOOTSTRAP_OVERRIDE", POD_PATH.override)]),
  ];
  const own = Object.entries(settings.environment).map(([name, value]) => literal(name, value));
  // What the user's proxyMetadata names wins over what was guessed for it.
  return [...variables.filter(({ name }) => !Object.hasOwn(settings.environment, name)), ...own];
}

/** In bytes, so that Envoy sheds load before the kernel ends it; the user's own sidecar container may set another. */
function memoryLimit({ pod, settings }: PlanContext): readonly NamedObject[] {
  const own = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
    ({ name }) => name === CONTAINER_NAME.proxy,
  );
  const limit = own?.resources?.limits?.memory ?? settings.resources.limits?.memory;
  const bytes = limit === undefined ? undefined : parseQuantity(String(limit));
  return bytes === undefined || bytes < 1 ? [] : [literal("PROXY_MEMORY_LIMIT", String(Math.floor(bytes)))];
}

/** Kubernetes expands `$(NAME)` in values and reads `$$` as a dollar. */
function literal(name: string, value: string): NamedObject {
  return { name, value: value.replaceAll("$", "$$$$") };
}

function ofPod(name: string, fieldPath: string): NamedObject {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

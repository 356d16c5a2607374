import type { InjectionConfig } from "./injection-config.ts";
import type { NamedObject, NewContainer } from "./plan.ts";
import type { PodManifest } from "./pod.ts";
import { APP_PROBERS_ENV, type AppProbers, CONTAINER_NAME, type InterceptionSettings } from "./pod-contract.ts";
import { initVolumeMounts } from "./volumes.ts";
import { type Owner, ownerUri } from "./workload-owner.ts";

export interface InitContainerInput {
  readonly pod: PodManifest;
  readonly namespace: string;
  readonly owner: Owner;
  readonly interception: InterceptionSettings;
  readonly probers: AppProbers;
  readonly config: InjectionConfig;
}

/** Runs `trysail init`: writes the proxy's bootstrap and redirects the pod's traffic to it. */
export function buildInitContainer(input: InitContainerInput): NewContainer {
  const { config } = input;
  return {
    name: CONTAINER_NAME.init,
    image: config.initImage,
    args: ["init", ...interceptionFlags(input.interception)],
    env: environment(input),
    resources: config.resources,
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      privileged: false,
      // The older kind of iptables keeps its lock in /run.
      readOnlyRootFilesystem: false,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
    },
    volumeMounts: initVolumeMounts(),
  };
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

function environment({ pod, namespace, owner, probers, config }: InitContainerInput): readonly NamedObject[] {
  const containers = pod.spec.containers;
  const ports = containers.flatMap((container) => container.ports ?? []);
  return [
    ofPod("POD_NAME", "metadata.name"),
    ofPod("POD_NAMESPACE", "metadata.namespace"),
    ofPod("INSTANCE_IP", "status.podIP"),
    ofPod("INSTANCE_IPS", "status.podIPs"),
    ofPod("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    literal("PROXY_CONFIG", JSON.stringify({ discoveryAddress: config.discoveryAddress })),
    // Envoy's node metadata: the prefix comes off on the way.
    ofPod("ISTIO_META_NODE_NAME", "spec.nodeName"),
    literal("ISTIO_META_CLUSTER_ID", config.clusterId),
    literal("ISTIO_META_MESH_ID", config.meshId),
    ...(config.network === "" ? [] : [literal("ISTIO_META_NETWORK", config.network)]),
    literal("ISTIO_META_INTERCEPTION_MODE", "REDIRECT"),
    literal("ISTIO_META_WORKLOAD_NAME", owner.name),
    literal("ISTIO_META_OWNER", ownerUri(owner, namespace)),
    literal("ISTIO_META_APP_CONTAINERS", containers.map(({ name }) => name).join(",")),
    literal("ISTIO_META_POD_PORTS", JSON.stringify(ports)),
    ...(Object.keys(probers).length === 0 ? [] : [literal(APP_PROBERS_ENV, JSON.stringify(probers))]),
  ];
}

/** Kubernetes expands `$(NAME)` in values and reads `$$` as a dollar. */
function literal(name: string, value: string): NamedObject {
  return { name, value: value.replaceAll("$", "$$$$") };
}

function ofPod(name: string, fieldPath: string): NamedObject {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

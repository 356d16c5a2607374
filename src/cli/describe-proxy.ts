import type { JsonObject } from "@bufbuild/protobuf";
import { metadataFrom } from "../init/pod-environment.ts";
import { ANNOTATION } from "../injection/annotations.ts";
import type { InjectionConfig } from "../injection/injection-config.ts";
import { LABEL } from "../injection/labels.ts";
import { createMeshSettings } from "../injection/mesh-settings.ts";
import type { PodManifest } from "../injection/pod.ts";
import { buildProxySettings } from "../injection/proxy-settings.ts";
import { selectProxyConfig } from "../injection/select-proxy-config.ts";
import { ownValue } from "../mesh/own-value.ts";
import type { MeshSnapshot } from "../mesh/snapshot.ts";
import { TrysailError } from "../platform/errors.ts";
import type { ProxyDescription } from "../translate/translator.ts";

/**
 * The proxy of a pod that the mesh knows, or of the pods a controller in it would make (`POD.NAMESPACE`), as its node
 * would describe it: by the annotations, the ProxyConfigs, the mesh config and the operator's settings that count for
 * it. What templates of the operator's own put into pods is not known here.
 */
export function describeProxy(mesh: MeshSnapshot, proxy: string, injection: InjectionConfig): ProxyDescription {
  const dot = proxy.lastIndexOf(".");
  const [name, namespace] = [proxy.slice(0, dot), proxy.slice(dot + 1)];
  if (dot <= 0) throw new TrysailError("invalid-argument", `--proxy ${proxy} is not POD.NAMESPACE`);
  const { labels, annotations, ips } = findPod(mesh, name, namespace);
  const type = proxyType(annotations, injection);
  const pod = { metadata: { labels, annotations }, spec: { containers: [] } };
  const metadata = nodeMetadata(mesh, namespace, pod, injection);
  const ipAddress = ips[0] ?? "0.0.0.0";
  return {
    ...{ name, namespace, labels, ipAddress, type },
    metadata: {
      INSTANCE_IPS: ips.join() || ipAddress,
      ...metadata,
      ...(type === "router" ? { INTERCEPTION_MODE: "NONE" } : {}),
    },
  };
}

interface FoundPod {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly ips: readonly string[];
}

function findPod(mesh: MeshSnapshot, name: string, namespace: string): FoundPod {
  const pod = mesh.pods.get(`${namespace}/${name}`);
  if (pod !== undefined) {
    const { podIP, podIPs = [] } = pod.status ?? {};
    const ips = podIPs.length > 0 ? podIPs.map(({ ip }) => ip) : podIP === undefined ? [] : [podIP];
    return { ...pod.metadata, ips };
  }
  const workload = mesh.workloads.find(
    ({ metadata }) =>
      metadata.namespace === namespace && (metadata.name === name || name.startsWith(`${metadata.name}-`)),
  );
  if (workload === undefined) {
    const known = [
      ...mesh.pods.keys(),
      ...mesh.workloads.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    ];
    const some = known.slice(0, 10).map((key) => key.split("/").reverse().join("."));
    throw new TrysailError(
      "not-found",
      `no pod or workload ${name} in namespace ${namespace}; there are ${some.join(", ") || "none"}`,
    );
  }
  const { labels = {}, annotations = {} } = workload.spec.template.metadata ?? {};
  return { labels, annotations, ips: [] };
}

/** What injection and `trysail init` would have the node say. */
function nodeMetadata(mesh: MeshSnapshot, namespace: string, pod: PodManifest, injection: InjectionConfig): JsonObject {
  const labels = pod.metadata?.labels ?? {};
  const config = createMeshSettings(injection, () => mesh.config)();
  const selected = selectProxyConfig(mesh.proxyConfigsFor(namespace), namespace, labels);
  const settings = buildProxySettings({ pod, namespaceAnnotations: {}, config, selected });
  const network = ownValue(labels, LABEL.network.name) ?? config.network;
  return {
    CLUSTER_ID: config.clusterId,
    ...(network === "" ? {} : { NETWORK: network }),
    INTERCEPTION_MODE: settings.interceptionMode,
    ...metadataFrom(settings.environment),
    PROXY_CONFIG: JSON.parse(JSON.stringify(settings.proxyConfig)),
  };
}

/** A pod that the template of gateways makes stands alone. */
function proxyType(
  annotations: Readonly<Record<string, string>>,
  { defaultTemplates, aliases }: InjectionConfig,
): "router" | "sidecar" {
  const asked = (ownValue(annotations, ANNOTATION.templates.name) ?? "")
    .split(",")
    .flatMap((name) => name.trim() || []);
  const names = asked.length === 0 ? defaultTemplates : asked;
  return names.some((name) => (ownValue(aliases, name) ?? [name]).includes("gateway")) ? "router" : "sidecar";
}

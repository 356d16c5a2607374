import type { JsonObject } from "@bufbuild/protobuf";
import type { BootstrapConfig } from "./bootstrap-config.ts";

/** Who this proxy says it is. The control plane believes it only as far as the pod's token agrees. */
export interface NodeIdentity {
  /** A `router` is a gateway: it stands beside no app. */
  readonly type?: "sidecar" | "router";
  readonly name: string;
  readonly namespace: string;
  readonly ipAddress: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Further metadata, such as CLUSTER_ID; the keys below win over it. */
  readonly metadata: JsonObject;
  readonly domainSuffix: string;
}

/** `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local`, Istio's form. */
export function nodeId({ type = "sidecar", ipAddress, name, namespace, domainSuffix }: NodeIdentity): string {
  return `${type}~${ipAddress}~${name}.${namespace}~${namespace}.svc.${domainSuffix}`;
}

/**
 * The name under which this proxy's requests appear to others in stats and traces: as ProxyConfig says, else
 * `NAME.NAMESPACE`.
 */
export function nodeCluster({ labels, metadata, name, namespace }: NodeIdentity, config: BootstrapConfig = {}): string {
  const { serviceCluster, tracingServiceName = "APP_LABEL_AND_NAMESPACE" } = config;
  if (serviceCluster) return serviceCluster;
  const workload = typeof metadata.WORKLOAD_NAME === "string" ? metadata.WORKLOAD_NAME : name;
  const canonical = labels["service.istio.io/canonical-name"];
  switch (tracingServiceName) {
    case "CANONICAL_NAME_ONLY":
      return canonical ?? workload;
    case "CANONICAL_NAME_AND_NAMESPACE":
      return `${canonical ?? workload}.${namespace}`;
    default:
      return `${canonical ?? labels.app ?? workload}.${namespace}`;
  }
}

/** Annotations that describe the manifest rather than the pod, and are long. */
const BOOKKEEPING = ["sidecar.istio.io/status", "kubectl.kubernetes.io/last-applied-configuration"];

export function nodeMetadata(identity: NodeIdentity): JsonObject {
  const annotations = Object.entries(identity.annotations).filter(([key]) => !BOOKKEEPING.includes(key));
  return {
    ...identity.metadata,
    NAME: identity.name,
    NAMESPACE: identity.namespace,
    SERVICE_ACCOUNT: identity.serviceAccount,
    LABELS: { ...identity.labels },
    ANNOTATIONS: Object.fromEntries(annotations),
  };
}

/** From Istio's own label (`region.zone.subzone`; a label value may not hold a slash) or Kubernetes' labels. */
export function nodeLocality({ labels }: NodeIdentity): { region: string; zone: string; subZone: string } | undefined {
  const [region = "", zone = "", subZone = ""] = labels["istio-locality"]?.split(".") ?? [
    labels["topology.kubernetes.io/region"],
    labels["topology.kubernetes.io/zone"],
    labels["topology.istio.io/subzone"],
  ];
  return region === "" && zone === "" ? undefined : { region, zone, subZone };
}

import { NOWHERE, podLocality } from "../../mesh/locality.ts";
import { networkByRange } from "../../mesh/mesh-networks.ts";
import { NETWORK_LABEL } from "../../mesh/network-gateways.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import type { Place } from "../../mesh/topology-labels.ts";
import type { ProxyNode } from "../../xds/node.ts";

/** Where a caller stands, as far as it matters for which endpoints it should be sent to first. */
export interface Viewpoint extends Place {
  readonly labels: Readonly<Record<string, string>>;
}

type Described = Pick<ProxyNode, "name" | "namespace" | "labels"> & Partial<Pick<ProxyNode, "locality" | "metadata">>;

/** From the pod and its node where the mesh knows them, else from what the proxy says. */
export function viewpointOf(proxy: Described, { pods, topology }: Pick<MeshSnapshot, "pods" | "topology">): Viewpoint {
  const pod = pods.get(`${proxy.namespace}/${proxy.name}`);
  const labels = pod?.metadata.labels ?? proxy.labels;
  const known = podLocality(labels, pod?.spec.nodeName, undefined, topology);
  const byRange = networkByRange(pod?.status?.podIP ?? "", topology.ranges);
  const network = labels[NETWORK_LABEL] ?? proxy.metadata?.NETWORK ?? byRange ?? topology.network;
  // A pod of this cluster may have been injected before the cluster had its name.
  const cluster = (pod === undefined ? proxy.metadata?.CLUSTER_ID : undefined) ?? topology.cluster;
  return {
    locality: known.region === "" && known.zone === "" ? (proxy.locality ?? NOWHERE) : known,
    nodeName: pod?.spec.nodeName ?? "",
    network: typeof network === "string" ? network : "",
    cluster: typeof cluster === "string" ? cluster : "",
    labels,
  };
}

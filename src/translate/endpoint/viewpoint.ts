import { type Locality, NOWHERE, podLocality } from "../../mesh/locality.ts";
import { NETWORK_LABEL } from "../../mesh/network-gateways.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import type { ProxyNode } from "../../xds/node.ts";

/** Where a caller stands, as far as it matters for which endpoints it should be sent to first. */
export interface Viewpoint {
  readonly locality: Locality;
  readonly nodeName: string;
  readonly network: string;
  readonly labels: Readonly<Record<string, string>>;
}

type Described = Pick<ProxyNode, "name" | "namespace" | "labels"> & Partial<Pick<ProxyNode, "locality" | "metadata">>;

/** From the pod and its node where the mesh knows them, else from what the proxy says. */
export function viewpointOf(proxy: Described, { pods, topology }: Pick<MeshSnapshot, "pods" | "topology">): Viewpoint {
  const pod = pods.get(`${proxy.namespace}/${proxy.name}`);
  const labels = pod?.metadata.labels ?? proxy.labels;
  const known = podLocality(labels, pod?.spec.nodeName, undefined, topology);
  const network = labels[NETWORK_LABEL] ?? proxy.metadata?.NETWORK ?? topology.network;
  return {
    locality: known.region === "" && known.zone === "" ? (proxy.locality ?? NOWHERE) : known,
    nodeName: pod?.spec.nodeName ?? "",
    network: typeof network === "string" ? network : "",
    labels,
  };
}

import type { Node } from "./kubernetes/core.ts";
import type { AddressRange, MeshNetworks } from "./mesh-networks.ts";

/** Where something runs, from the widest to the narrowest; what is not known is empty. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** Where the nodes of a cluster are. Keeps its identity while that stays, whatever else changes of the nodes. */
export interface Topology {
  readonly byNode: ReadonlyMap<string, Locality>;
  /** The region of a zone; slices of endpoints name only the latter. */
  readonly regionOf: ReadonlyMap<string, string>;
  /** The network of its pods that name none of their own; empty where the mesh is one network. */
  readonly network: string;
  /** Addresses that are in other networks than that. */
  readonly ranges: readonly AddressRange[];
  /** The cluster's name. */
  readonly cluster: string;
}

/** `NODE=region/zone/subzone`, an input of `buildTopology`. */
export function nodePlace({ metadata: { name, labels } }: Node): string {
  const region = labels["topology.kubernetes.io/region"] ?? labels["failure-domain.beta.kubernetes.io/region"] ?? "";
  const zone = labels["topology.kubernetes.io/zone"] ?? labels["failure-domain.beta.kubernetes.io/zone"] ?? "";
  return `${name}=${region}/${zone}/${labels["topology.istio.io/subzone"] ?? ""}`;
}

/** `labelled` is the network that the control plane's namespace names, which goes before what the mesh config says. */
export function buildTopology(
  places: readonly string[],
  labelled: string,
  cluster: string,
  networks: MeshNetworks,
): Topology {
  const byNode = new Map(
    places.map((place): [string, Locality] => {
      const [name = "", locality = ""] = place.split("=");
      return [name, parseLocality(locality)];
    }),
  );
  const regionOf = new Map(
    [...byNode.values()].filter(({ zone }) => zone !== "").map(({ zone, region }) => [zone, region]),
  );
  if (labelled !== "") return { byNode, regionOf, network: labelled, ranges: [], cluster };
  return { byNode, regionOf, network: networks.byCluster.get(cluster) ?? "", ranges: networks.ranges, cluster };
}

/** `region/zone/subzone`; what is left out is empty. */
export function parseLocality(text: string, separator = "/"): Locality {
  const [region = "", zone = "", ...subZone] = text.split(separator);
  return { region, zone, subZone: subZone.join(separator) };
}

/** Of a pod: its own label goes before what its node or its endpoint's zone says. */
export function podLocality(
  labels: Readonly<Record<string, string>>,
  nodeName: string | undefined,
  zone: string | undefined,
  { byNode, regionOf }: Topology,
): Locality {
  const label = labels["istio-locality"];
  // A label cannot hold a slash, so Istio lets dots stand for them.
  if (label !== undefined) return parseLocality(label, label.includes("/") ? "/" : ".");
  const known = nodeName === undefined ? undefined : byNode.get(nodeName);
  if (known !== undefined && known.zone !== "") return known;
  return zone === undefined ? NOWHERE : { region: regionOf.get(zone) ?? "", zone, subZone: "" };
}

export const NOWHERE: Locality = Object.freeze({ region: "", zone: "", subZone: "" });

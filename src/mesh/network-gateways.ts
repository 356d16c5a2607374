import { ipVersion } from "../platform/ip-version.ts";
import type { Namespace, Service } from "./kubernetes/core.ts";

/** Where another network is entered: a gateway that passes mutual TLS on to whom its SNI names. */
export interface NetworkGateway {
  readonly address: string;
  readonly port: number;
}

/** By the name of the network that they lead into. */
export type NetworkGateways = ReadonlyMap<string, readonly NetworkGateway[]>;

/**
 * On pods, the network they are in; on the control plane's namespace, that of the whole cluster; on a gateway's Service,
 * the network it leads into: https://istio.io/latest/docs/setup/install/multicluster/multi-primary_multi-network/
 */
export const NETWORK_LABEL = "topology.istio.io/network";
const PORT_LABEL = "networking.istio.io/gatewayPort";
const DEFAULT_PORT = "15443";

/** The network of a cluster's pods; empty where none of the control plane's namespaces names one. */
export function clusterNetwork(namespaces: readonly Namespace[], systemNamespaces: readonly string[]): string {
  for (const name of systemNamespaces) {
    const network = namespaces.find(({ metadata }) => metadata.name === name)?.metadata.labels[NETWORK_LABEL];
    if (network !== undefined) return network;
  }
  return "";
}

/** `NETWORK ADDRESS PORT` for each address by which a Service is a gateway; no host names, which would have to be looked up. */
export function gatewayPlaces({ metadata, spec, status }: Service): string[] {
  const network = metadata.labels[NETWORK_LABEL];
  const port = metadata.labels[PORT_LABEL] ?? DEFAULT_PORT;
  if (network === undefined || network === "" || !spec.ports?.some((known) => String(known.port) === port)) return [];
  const balancers = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
  return [...balancers, ...(spec.externalIPs ?? [])]
    .filter((address) => ipVersion(address) !== null)
    .map((address) => `${network} ${address} ${port}`);
}

/** From places in order, each once. */
export function buildNetworkGateways(places: readonly string[]): NetworkGateways {
  const parsed = places.map((place) => {
    const [network = "", address = "", port] = place.split(" ");
    return { network, gateway: { address, port: Number(port) } };
  });
  const byNetwork = Map.groupBy(parsed, ({ network }) => network);
  return new Map([...byNetwork].map(([network, found]) => [network, found.map(({ gateway }) => gateway)]));
}

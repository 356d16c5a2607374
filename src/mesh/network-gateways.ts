import { ipVersion } from "../platform/ip-version.ts";
import type { Namespace, Service } from "./kubernetes/core.ts";
import type { MeshNetworks } from "./mesh-networks.ts";

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

/** What host names lead to. */
type Addresses = ReadonlyMap<string, readonly string[]>;

/** `NETWORK ADDRESS PORT` for each address by which a Service is a gateway. */
export function gatewayPlaces(service: Service, addresses: Addresses): string[] {
  const { metadata, spec } = service;
  const network = metadata.labels[NETWORK_LABEL];
  const port = metadata.labels[PORT_LABEL] ?? DEFAULT_PORT;
  if (network === undefined || network === "" || !spec.ports?.some((known) => String(known.port) === port)) return [];
  return addressesOf(service, addresses).map((address) => `${network} ${address} ${port}`);
}

/** The host names by which a Service that is labelled as a gateway is reached, where its balancers have no addresses. */
export function gatewayHosts({ metadata, status }: Service): string[] {
  if ((metadata.labels[NETWORK_LABEL] ?? "") === "") return [];
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) =>
    ip === undefined ? (hostname ?? []) : [],
  );
}

/** The same for the gateways that the mesh config names, by the Services of each cluster. */
export function namedGatewayPlaces(
  { gateways, byCluster }: MeshNetworks,
  clusters: readonly { readonly name: string; readonly services: readonly Service[] }[],
  domain: string,
  addresses: Addresses,
): string[] {
  return gateways.flatMap(({ network, port, at }) => {
    if ("address" in at) return [`${network} ${at.address} ${port}`];
    return clusters
      .filter(({ name }) => byCluster.get(name) === network)
      .flatMap(({ services }) => services)
      .filter(({ metadata: { name, namespace } }) => `${name}.${namespace}.svc.${domain}` === at.host)
      .flatMap((service) => addressesOf(service, addresses))
      .map((address) => `${network} ${address} ${port}`);
  });
}

/** By which others reach a Service. */
function addressesOf({ spec, status }: Service, addresses: Addresses): string[] {
  const balancers = (status?.loadBalancer?.ingress ?? []).flatMap(
    ({ ip, hostname = "" }) => ip ?? addresses.get(hostname) ?? [],
  );
  return [...balancers, ...(spec.externalIPs ?? [])].filter((address) => ipVersion(address) !== null);
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

import type { NetworkGateway, NetworkGateways } from "../../mesh/network-gateways.ts";
import type { MeshEndpoint } from "../../mesh/service-endpoints.ts";
import type { Viewpoint } from "./viewpoint.ts";

/** Where requests go, and its share beside others; 0 where none is said. */
export type Target =
  | { readonly kind: "workload"; readonly endpoint: MeshEndpoint; readonly weight: number }
  /** Of the endpoints behind it, who is meant is told by the SNI of mutual TLS. */
  | {
      readonly kind: "gateway";
      readonly gateway: NetworkGateway;
      readonly weight: number;
      /** Draining where all behind it are. */
      readonly health: MeshEndpoint["health"];
    };

/**
 * Whether a caller reaches an endpoint only by a gateway of its network. Where a network is not named, or has no
 * gateway, its addresses are taken to be reachable.
 */
export function crossesNetworks(
  endpoint: MeshEndpoint,
  viewpoint: Pick<Viewpoint, "network"> | null,
  gateways: NetworkGateways,
): boolean {
  if (viewpoint === null || viewpoint.network === "" || endpoint.network === viewpoint.network) return false;
  return gateways.has(endpoint.network);
}

/** Endpoints of one place as their caller reaches them. A network's gateways share what its endpoints weigh together. */
export function targetsOf(
  members: readonly MeshEndpoint[],
  viewpoint: Viewpoint | null,
  gateways: NetworkGateways,
): readonly Target[] {
  const beyond = members.filter((endpoint) => crossesNetworks(endpoint, viewpoint, gateways));
  const near = members.filter((endpoint) => !crossesNetworks(endpoint, viewpoint, gateways));
  if (beyond.length === 0) return near.map((endpoint) => ({ kind: "workload", endpoint, weight: endpoint.weight }));
  const networks = [...Map.groupBy(beyond, ({ network }) => network)].map(([network, endpoints]) => {
    const healthy = endpoints.filter(({ health }) => health === "healthy");
    const health = healthy.length > 0 ? ("healthy" as const) : ("draining" as const);
    // The gateway sends nothing to those that drain while there are others.
    const weight = (healthy.length > 0 ? healthy : endpoints).reduce((sum, endpoint) => sum + weightOf(endpoint), 0);
    return { entries: gateways.get(network) ?? [], weight, health };
  });
  // By which all shares are whole numbers.
  const scale = networks.reduce((multiple, { entries }) => leastCommonMultiple(multiple, entries.length), 1);
  return [
    ...near.map((endpoint): Target => ({ kind: "workload", endpoint, weight: weightOf(endpoint) * scale })),
    ...networks.flatMap(({ entries, weight, health }) =>
      entries.map(
        (gateway): Target => ({ kind: "gateway", gateway, weight: (weight * scale) / entries.length, health }),
      ),
    ),
  ];
}

function weightOf({ weight }: MeshEndpoint): number {
  return weight === 0 ? 1 : weight;
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (x: number, y: number): number => (y === 0 ? x : divisor(y, x % y));
  return (a * b) / divisor(a, b);
}

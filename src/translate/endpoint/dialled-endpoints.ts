import type { MeshService } from "../../mesh/mesh-service.ts";
import type { NetworkGateways } from "../../mesh/network-gateways.ts";
import type { MeshEndpoint, ServiceEndpoints } from "../../mesh/service-endpoints.ts";
import type { MeshSnapshot } from "../../mesh/snapshot.ts";
import type { BuildCache } from "../../platform/build-cache.ts";
import { crossesNetworks } from "./network-crossing.ts";

/** Of a headless service, the endpoints whose own addresses mean them to callers of this cluster. */
export function dialledEndpoints(mesh: MeshSnapshot, service: MeshService, cache: BuildCache): ServiceEndpoints {
  return cache.get(buildDialledEndpoints, mesh.endpointsOf(service), mesh.networkGateways, mesh.topology.network);
}

/** Behind a gateway into another network an address is nobody's here, or somebody else's. Of several at one the first counts. */
function buildDialledEndpoints(
  { endpoints, identities }: ServiceEndpoints,
  gateways: NetworkGateways,
  network: string,
): ServiceEndpoints {
  const isDialled = (endpoint: MeshEndpoint) =>
    endpoint.address !== "" && !crossesNetworks(endpoint, { network }, gateways);
  const byAddress = Map.groupBy(endpoints.filter(isDialled), ({ address }) => address);
  return { endpoints: [...byAddress.values()].flatMap(([first]) => first ?? []), identities };
}

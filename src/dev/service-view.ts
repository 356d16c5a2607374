import type { EndpointSlice, Service } from "../mesh/kubernetes/core.ts";
import type { EndpointSliceManifest } from "./endpoint-slices.ts";

/** A Service with its address and every endpoint it has right now: what name resolution and forwarding both read. */
export interface ServiceView {
  readonly service: Service;
  /** Absent for headless Services and ExternalNames. */
  readonly clusterIp?: string;
  readonly ports: readonly PortView[];
  /** Ready addresses, whatever the port, with the host names that StatefulSets give. */
  readonly addresses: readonly { readonly ip: string; readonly hostname?: string }[];
}

export interface PortView {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  /** Ready endpoints, sorted. */
  readonly endpoints: readonly { readonly ip: string; readonly port: number }[];
}

/** Joins Services with the slices that carry their name, the runner's own and the user's alike. */
export function buildServiceViews(
  services: readonly Service[],
  slices: readonly (EndpointSlice | EndpointSliceManifest)[],
  clusterIps: ReadonlyMap<string, string>,
): ServiceView[] {
  const byService = Map.groupBy(
    slices,
    ({ metadata }) => `${metadata.namespace}/${metadata.labels["kubernetes.io/service-name"] ?? ""}`,
  );
  return services.map((service) => {
    const key = `${service.metadata.namespace}/${service.metadata.name}`;
    const own = byService.get(key) ?? [];
    const ready = own.flatMap((slice) =>
      (slice.endpoints ?? [])
        .filter(({ conditions }) => conditions?.ready !== false)
        .map((endpoint) => ({ slice, endpoint })),
    );
    const addresses = ready.flatMap(({ endpoint }) =>
      endpoint.addresses.map((ip) => ({
        ip,
        ...(endpoint.hostname === undefined ? {} : { hostname: endpoint.hostname }),
      })),
    );
    const ports = (service.spec.ports ?? []).map((port) => {
      const protocol = port.protocol ?? "TCP";
      const endpoints = ready.flatMap(({ slice, endpoint }) => {
        const match = (slice.ports ?? []).find(
          (candidate) => (candidate.name ?? "") === (port.name ?? "") && (candidate.protocol ?? "TCP") === protocol,
        );
        const number = match?.port;
        return number === undefined ? [] : endpoint.addresses.map((ip) => ({ ip, port: number }));
      });
      return { name: port.name ?? "", port: port.port, protocol, endpoints };
    });
    const clusterIp = clusterIps.get(key);
    return { service, ports, addresses, ...(clusterIp === undefined ? {} : { clusterIp }) };
  });
}

import type { MeshService } from "../mesh/mesh-service.ts";
import type { ServiceEndpoints } from "../mesh/service-endpoints.ts";
import { ipVersion } from "../platform/ip-version.ts";

/** What a sidecar answers to a query for a name. */
export interface DnsRecord {
  readonly name: string;
  /** IPv4, and IPv6 where the pod has it. */
  readonly addresses: readonly string[];
}

/** Null for what only the pod's own resolvers can answer, such as a host of a ServiceEntry that leads anywhere. */
export function buildDnsRecord(service: MeshService, endpoints: ServiceEndpoints, hasIpv6: boolean): DnsRecord | null {
  const { hostname, addresses, autoAddresses, isHeadless } = service;
  // Envoy's table has no place for the name of a single label, or for every name.
  if (hostname === "*" || !hostname.includes(".")) return null;
  // Who asks now is about to begin something new.
  const open = endpoints.endpoints.filter(({ health }) => health === "healthy");
  const own = isHeadless ? open.map(({ address }) => address) : [...addresses, ...autoAddresses];
  const usable = own.filter((text) => ipVersion(text) === 4 || (hasIpv6 && ipVersion(text) === 6));
  return usable.length === 0 ? null : { name: hostname, addresses: usable };
}

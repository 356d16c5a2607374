import { isUdp, type ServiceEntry, type ServiceEntryPort } from "./istio/service-entry.ts";
import type { MeshPort, MeshService, Resolution } from "./mesh-service.ts";
import { compareText } from "./object.ts";
import { declaredDatabase, portProtocol } from "./port-protocol.ts";
import { trafficDistribution } from "./traffic-distribution.ts";

const RESOLUTIONS: Readonly<Record<NonNullable<ServiceEntry["spec"]["resolution"]>, Resolution>> = {
  NONE: "passthrough",
  STATIC: "endpoints",
  DNS: "dns",
  DNS_ROUND_ROBIN: "dns-round-robin",
  DYNAMIC_DNS: "dynamic-dns",
};

/**
 * One host of a ServiceEntry. `autoAddresses`, separated by commas, are those that were made up for it; `namespaceSays` is
 * how its namespace would have traffic distributed.
 */
export function buildServiceEntryService(
  entry: ServiceEntry,
  host: string,
  autoAddresses: string,
  namespaceSays: string = "",
): MeshService {
  const { metadata, spec } = entry;
  const hostname = host.toLowerCase();
  const resolution = RESOLUTIONS[spec.resolution ?? "NONE"];
  const endpoints = spec.endpoints ?? [];
  const isByDns = resolution === "dns" || resolution === "dns-round-robin";
  return {
    kind: "ServiceEntry",
    hostname,
    name: metadata.name,
    namespace: metadata.namespace,
    addresses: [...new Set(spec.addresses ?? [])].sort(compareText),
    autoAddresses: autoAddresses === "" ? [] : autoAddresses.split(","),
    ports: (spec.ports ?? []).filter((port) => !isUdp(port)).map(meshPort),
    selector: spec.workloadSelector?.labels,
    inlineEndpoints:
      isByDns && endpoints.length === 0 && spec.workloadSelector === undefined ? [{ address: hostname }] : endpoints,
    resolution,
    isHeadless: false,
    isExternal: spec.location !== "MESH_INTERNAL",
    subjectAltNames: spec.subjectAltNames ?? [],
    publishNotReadyAddresses: false,
    isNodeLocal: false,
    trafficDistribution: trafficDistribution(metadata, namespaceSays),
    isSticky: false,
    standsFor: null,
    exportTo: spec.exportTo,
  };
}

function meshPort({ number, name, protocol, targetPort }: ServiceEntryPort): MeshPort {
  const appProtocol = protocol === undefined || protocol === "" ? name : protocol;
  return {
    number,
    name,
    protocol: portProtocol({ number, appProtocol }),
    targetPort: targetPort ?? number,
    ...declaredDatabase({ appProtocol }),
  };
}

/**
 * Whether a host needs addresses of its own, by which its connections are told from those of other hosts on the same
 * port. One without a resolution, or a wildcard, leads to wherever the caller wants: that must stay the caller's own.
 */
export function takesAutoAddresses({ metadata, spec }: Pick<ServiceEntry, "metadata" | "spec">, host: string): boolean {
  const { resolution = "NONE", addresses = [] } = spec;
  return (
    addresses.length === 0 &&
    resolution !== "NONE" &&
    resolution !== "DYNAMIC_DNS" &&
    !host.startsWith("*") &&
    metadata.labels["networking.istio.io/enable-autoallocate-ip"]?.toLowerCase() !== "false"
  );
}

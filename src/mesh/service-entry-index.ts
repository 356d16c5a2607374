import { addToList } from "../platform/add-to-list.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import { olderFirst } from "./object.ts";
import { isDeclaredHttp, portProtocol } from "./port-protocol.ts";
import { takesAutoAddresses } from "./service-entry-services.ts";

/** Finds the entries that may get in each other's way, the older first. */
export interface ServiceEntryIndex {
  withHost(namespace: string, host: string): readonly ServiceEntry[];
  /** Those that take every connection to a port. */
  takingPort(number: number): readonly ServiceEntry[];
}

export function indexServiceEntries(entries: readonly ServiceEntry[]): ServiceEntryIndex {
  const byHost = new Map<string, ServiceEntry[]>();
  const byPort = new Map<number, ServiceEntry[]>();
  for (const entry of [...entries].sort(olderFirst)) {
    for (const host of new Set(entry.spec.hosts.map((text) => text.toLowerCase()))) {
      addToList(byHost, `${entry.metadata.namespace}/${host}`, entry);
    }
    for (const number of new Set(indistinctPorts(entry))) addToList(byPort, number, entry);
  }
  return {
    withHost: (namespace, host) => byHost.get(`${namespace}/${host.toLowerCase()}`) ?? [],
    takingPort: (number) => byPort.get(number) ?? [],
  };
}

/** Those whose connections are known by their port alone. */
function indistinctPorts(entry: ServiceEntry): number[] {
  return (entry.spec.ports ?? []).flatMap(({ number }, at) => (isIndistinct(entry, at) ? [number] : []));
}

export function isIndistinct({ metadata, spec }: ServiceEntry, at: number): boolean {
  const port = spec.ports?.[at];
  if (port === undefined || (spec.addresses ?? []).length > 0) return false;
  const protocol = portProtocol({ number: port.number, appProtocol: port.protocol || port.name });
  if (isDeclaredHttp(protocol) || protocol === "tls") return false;
  return spec.hosts.some((host) => !takesAutoAddresses({ metadata, spec }, host));
}

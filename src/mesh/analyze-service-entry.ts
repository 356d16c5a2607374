import { describeObject } from "./finding.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import { olderFirst, refOf } from "./object.ts";
import { isDeclaredHttp, portProtocol } from "./port-protocol.ts";
import type { ReferenceIndex, Report } from "./reference-index.ts";
import { takesAutoAddresses } from "./service-entry-services.ts";
import { visibleFrom } from "./visibility.ts";

/**
 * Entries whose connections cannot be told apart: no address, no name in TLS, no request to look into. The older one has
 * them all. So it is with two entries of one host, which a caller sees one of.
 */
export function analyzeServiceEntry(entry: ServiceEntry, { serviceEntries }: ReferenceIndex, report: Report): void {
  for (const [at, port] of (entry.spec.ports ?? []).entries()) {
    if (!isIndistinct(entry, at)) continue;
    const other = serviceEntries.find(
      (candidate) =>
        candidate !== entry &&
        sharesCallers(candidate, entry) &&
        (candidate.spec.ports ?? []).some(
          ({ number }, index) => number === port.number && isIndistinct(candidate, index),
        ),
    );
    if (other === undefined) continue;
    const [has, lacks] = [entry, other].sort(olderFirst).map((one) => describeObject(refOf(one)));
    const reason = `takes every connection to port ${port.number}, and so does ${describeObject(refOf(other))}: ${has} has them and ${lacks} gets none, so give both addresses, or a resolution other than NONE`;
    report("object-conflict", `spec.ports[${at}]`, reason);
  }
  for (const [at, host] of entry.spec.hosts.entries()) {
    const other = serviceEntries.find(
      (candidate) =>
        candidate !== entry &&
        sharesCallers(candidate, entry) &&
        candidate.spec.hosts.some((name) => name.toLowerCase() === host.toLowerCase()) &&
        // A namespace's own goes before that of another.
        candidate.metadata.namespace === entry.metadata.namespace,
    );
    if (other === undefined) continue;
    const [has, lacks] = [entry, other].sort(olderFirst).map((one) => describeObject(refOf(one)));
    report(
      "object-conflict",
      `spec.hosts[${at}]`,
      `is ${host}, as a host of ${describeObject(refOf(other))} is: ${has} has it and ${lacks} gets no traffic, so join their ports in one of them`,
    );
  }
}

/** Whether a port's connections are known by their port alone. */
function isIndistinct({ metadata, spec }: ServiceEntry, at: number): boolean {
  const port = spec.ports?.[at];
  if (port === undefined || (spec.addresses ?? []).length > 0) return false;
  const protocol = portProtocol({ number: port.number, appProtocol: port.protocol || port.name });
  if (isDeclaredHttp(protocol) || protocol === "tls") return false;
  return spec.hosts.some((host) => !takesAutoAddresses({ metadata, spec }, host));
}

function sharesCallers(a: ServiceEntry, b: ServiceEntry): boolean {
  return (
    visibleFrom(a.metadata.namespace, b.metadata.namespace, b.spec.exportTo) ||
    visibleFrom(b.metadata.namespace, a.metadata.namespace, a.spec.exportTo)
  );
}

import { describeObject } from "./finding.ts";
import type { ServiceEntry } from "./istio/service-entry.ts";
import { olderFirst, refOf } from "./object.ts";
import type { ReferenceIndex, Report } from "./reference-index.ts";
import { isSame } from "./rival.ts";
import { isIndistinct } from "./service-entry-index.ts";
import { visibleFrom } from "./visibility.ts";

/**
 * Entries whose connections cannot be told apart: no address, no name in TLS, no request to look into. The older one has
 * them all. So it is with two entries of one host, which a caller sees one of.
 */
export function analyzeServiceEntry(entry: ServiceEntry, { serviceEntries }: ReferenceIndex, report: Report): void {
  const rivalAmong = (others: readonly ServiceEntry[]) =>
    others.slice(0, MOST_COMPARED).find((other) => !isSame(other, entry) && sharesCallers(other, entry));
  for (const [at, { number }] of (entry.spec.ports ?? []).entries()) {
    const other = isIndistinct(entry, at) ? rivalAmong(serviceEntries.takingPort(number)) : undefined;
    if (other === undefined) continue;
    const [has, lacks] = [entry, other].sort(olderFirst).map((one) => describeObject(refOf(one)));
    const reason = `takes every connection to port ${number}, and so does ${describeObject(refOf(other))}: ${has} has them and ${lacks} gets none, so give both addresses, or a resolution other than NONE`;
    report("object-conflict", `spec.ports[${at}]`, reason);
  }
  for (const [at, host] of entry.spec.hosts.entries()) {
    // A namespace's own goes before that of another.
    const other = rivalAmong(serviceEntries.withHost(entry.metadata.namespace, host));
    if (other === undefined) continue;
    const [has, lacks] = [entry, other].sort(olderFirst).map((one) => describeObject(refOf(one)));
    report(
      "object-conflict",
      `spec.hosts[${at}]`,
      `is ${host}, as a host of ${describeObject(refOf(other))} is: ${has} has it and ${lacks} gets no traffic, so join their ports in one of them`,
    );
  }
}

/** Of thousands that no caller sees together, each would be compared with all. */
const MOST_COMPARED = 100;

function sharesCallers(a: ServiceEntry, b: ServiceEntry): boolean {
  return (
    visibleFrom(a.metadata.namespace, b.metadata.namespace, b.spec.exportTo) ||
    visibleFrom(b.metadata.namespace, a.metadata.namespace, a.spec.exportTo)
  );
}

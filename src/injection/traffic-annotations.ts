import { parsePorts, parsePortsOrAll, parseRanges, parseRangesOrAll } from "./interception-lists.ts";
import type { InterceptionSettings } from "./pod-contract.ts";

/** Istio's annotations that narrow interception, each with the setting it replaces. */
const annotations: { readonly [K in keyof InterceptionSettings]: Annotation<InterceptionSettings[K]> } = {
  includeInboundPorts: { name: "traffic.sidecar.istio.io/includeInboundPorts", parse: parsePortsOrAll },
  excludeInboundPorts: { name: "traffic.sidecar.istio.io/excludeInboundPorts", parse: parsePorts },
  includeOutboundPorts: { name: "traffic.sidecar.istio.io/includeOutboundPorts", parse: parsePorts },
  excludeOutboundPorts: { name: "traffic.sidecar.istio.io/excludeOutboundPorts", parse: parsePorts },
  includeOutboundRanges: { name: "traffic.sidecar.istio.io/includeOutboundIPRanges", parse: parseRangesOrAll },
  excludeOutboundRanges: { name: "traffic.sidecar.istio.io/excludeOutboundIPRanges", parse: parseRanges },
};

interface Annotation<T> {
  readonly name: string;
  readonly parse: (text: string, source: string) => T;
}

/** @throws TrysailError `invalid-argument` naming the annotation that cannot be read. */
export function parseTrafficAnnotations(
  written: Readonly<Record<string, string>>,
  defaults: InterceptionSettings,
): InterceptionSettings {
  const read = <T>({ name, parse }: Annotation<T>, fallback: T): T => {
    const text = written[name];
    return text === undefined ? fallback : parse(text, `annotation ${name}`);
  };
  return {
    includeInboundPorts: read(annotations.includeInboundPorts, defaults.includeInboundPorts),
    excludeInboundPorts: read(annotations.excludeInboundPorts, defaults.excludeInboundPorts),
    includeOutboundPorts: read(annotations.includeOutboundPorts, defaults.includeOutboundPorts),
    excludeOutboundPorts: read(annotations.excludeOutboundPorts, defaults.excludeOutboundPorts),
    includeOutboundRanges: read(annotations.includeOutboundRanges, defaults.includeOutboundRanges),
    excludeOutboundRanges: read(annotations.excludeOutboundRanges, defaults.excludeOutboundRanges),
  };
}

import { readAnnotation } from "./annotation-entry.ts";
import { ANNOTATION } from "./annotations.ts";
import type { InterceptionSettings } from "./pod-contract.ts";

/** @throws TrysailError `invalid-argument` naming the annotation that cannot be read. */
export function parseTrafficAnnotations(
  written: Readonly<Record<string, string>>,
  defaults: InterceptionSettings,
): InterceptionSettings {
  return {
    includeInboundPorts: readAnnotation(written, ANNOTATION.includeInboundPorts) ?? defaults.includeInboundPorts,
    excludeInboundPorts: readAnnotation(written, ANNOTATION.excludeInboundPorts) ?? defaults.excludeInboundPorts,
    includeOutboundPorts: readAnnotation(written, ANNOTATION.includeOutboundPorts) ?? defaults.includeOutboundPorts,
    excludeOutboundPorts: readAnnotation(written, ANNOTATION.excludeOutboundPorts) ?? defaults.excludeOutboundPorts,
    includeOutboundRanges: readAnnotation(written, ANNOTATION.includeOutboundRanges) ?? defaults.includeOutboundRanges,
    excludeOutboundRanges: readAnnotation(written, ANNOTATION.excludeOutboundRanges) ?? defaults.excludeOutboundRanges,
  };
}

import type { OutboundScope } from "./scope.ts";
import type { Workload } from "./workload.ts";

/** In what proxies of one scope differ. */
export interface OutboundVariant {
  /** Null where no VirtualService in sight asks who calls. */
  readonly caller: Workload | null;
  readonly hasIpv6: boolean;
  /** The proxy answers the application's DNS queries, so that made-up addresses mean something. */
  readonly answersDns: boolean;
}

/** Names what a scope and a variant make, for lists that are kept. */
export function viewOf(
  { namespace, sidecar, ownRules }: OutboundScope,
  { caller, hasIpv6, answersDns }: OutboundVariant,
): string {
  const of = sidecar === null ? "" : `${sidecar.metadata.namespace}/${sidecar.metadata.name}`;
  const rules = ownRules.map(({ metadata }) => metadata.name);
  return `${namespace} ${of} ${rules} ${hasIpv6} ${answersDns} ${caller?.id ?? ""}`;
}

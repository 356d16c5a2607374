import { resolveHost } from "../mesh/hostname.ts";
import type { Sidecar } from "../mesh/istio/sidecar.ts";
import type { MeshConfig } from "../mesh/mesh-config.ts";
import { BLACKHOLE_CLUSTER, outboundClusterName, PASSTHROUGH_CLUSTER } from "./names.ts";

/** What becomes of connections and requests to whatever a proxy does not know. */
export interface OutboundPolicy {
  readonly mode: MeshConfig["outboundTrafficPolicy"];
  /** Where they go, in the mode that lets them. */
  readonly cluster: string;
}

/** A Sidecar's word goes before the mesh's. */
export function buildOutboundPolicy(config: MeshConfig, sidecar: Sidecar | null): OutboundPolicy {
  const { mode, egressProxy } = sidecar?.spec.outboundTrafficPolicy ?? {};
  // Within the policy of a Sidecar, REGISTRY_ONLY is what Istio has where no mode is said.
  const effective =
    sidecar?.spec.outboundTrafficPolicy === undefined ? config.outboundTrafficPolicy : (mode ?? "REGISTRY_ONLY");
  if (effective === "REGISTRY_ONLY") return { mode: effective, cluster: BLACKHOLE_CLUSTER };
  if (sidecar === null || egressProxy?.port === undefined) return { mode: effective, cluster: PASSTHROUGH_CLUSTER };
  const hostname = resolveHost(egressProxy.host, sidecar.metadata.namespace, config.domain);
  return { mode: effective, cluster: outboundClusterName(hostname, egressProxy.port.number, egressProxy.subset) };
}

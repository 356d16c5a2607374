import type { ConnectionPoolSettings } from "../mesh/istio/connection-pool.ts";
import type { Protocol } from "../mesh/port-protocol.ts";

/** A port of the workload that some Service leads to, or that its Sidecar opens. */
export interface InboundPort {
  readonly port: number;
  readonly protocol: Protocol;
  /** Where the application is reached, an IP address or `unix:///path`; null for the address that the caller dialled. */
  readonly endpoint: { readonly ip: string; readonly port: number } | null;
  /** Where the sidecar itself listens, instead of intercepting; null where it intercepts. */
  readonly bind: string | null;
  readonly connectionPool: ConnectionPoolSettings | null;
  /** The path of the Sidecar that opens the port or limits its connections; null for none. */
  readonly sidecar: string | null;
  /** The path of the DestinationRule that limits its connections instead; null for none. */
  readonly rule: string | null;
}

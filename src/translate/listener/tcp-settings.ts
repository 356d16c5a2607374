import type { DestinationRule } from "../../mesh/istio/destination-rule.ts";
import type { TunnelSettings } from "../../mesh/istio/traffic-policy.ts";
import { buildPortPolicy } from "../../mesh/port-policy.ts";
import { parseDurationMs } from "../typed-config.ts";

/** What a destination's rule says of connections that are passed on as they come. */
export interface TcpSettings {
  readonly idleTimeout: string | null;
  readonly maxDuration: string | null;
  readonly tunnel: TunnelSettings | null;
}

export function tcpSettings(rule: DestinationRule | null, subsetName: string | undefined, port: number): TcpSettings {
  if (rule === null) return NOTHING;
  const subset = rule.spec.subsets?.find(({ name }) => name === subsetName) ?? null;
  const { connectionPool, tunnel = null } = buildPortPolicy(rule, subset, port);
  const { idleTimeout = null, maxConnectionDuration } = connectionPool?.tcp ?? {};
  // Zero is no limit, which Envoy has only where nothing is said.
  const isLimited = maxConnectionDuration !== undefined && parseDurationMs(maxConnectionDuration) > 0;
  return { idleTimeout, maxDuration: isLimited ? maxConnectionDuration : null, tunnel };
}

const NOTHING: TcpSettings = Object.freeze({ idleTimeout: null, maxDuration: null, tunnel: null });

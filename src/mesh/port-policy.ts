import type { DestinationRule, Subset } from "./istio/destination-rule.ts";
import type { TrafficPolicy } from "./istio/traffic-policy.ts";

/** What holds for one port of one subset, or of the whole service. */
export type PortPolicy = Omit<TrafficPolicy, "portLevelSettings">;

/**
 * The subset's settings before the rule's own, each as a whole. A port's settings take the place of the four that
 * ports can have, also of those that they leave out: these are at their defaults then, as Istio documents it.
 */
export function buildPortPolicy(
  rule: Pick<DestinationRule, "spec"> | null,
  subset: Pick<Subset, "trafficPolicy"> | null,
  port: number,
): PortPolicy {
  const whole = withPort(NOTHING, rule?.spec.trafficPolicy, port);
  return withPort(whole, subset?.trafficPolicy, port);
}

const NOTHING: PortPolicy = Object.freeze({});

function withPort(under: PortPolicy, policy: TrafficPolicy | undefined, port: number): PortPolicy {
  if (policy === undefined) return under;
  const { portLevelSettings = [], ...own } = policy;
  const merged = { ...under, ...own };
  const settings = portLevelSettings.find((candidate) => candidate.port.number === port);
  if (settings === undefined) return merged;
  const { loadBalancer, connectionPool, outlierDetection, tls } = settings;
  return { ...merged, loadBalancer, connectionPool, outlierDetection, tls };
}

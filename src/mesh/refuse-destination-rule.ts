import { append } from "../platform/append.ts";
import type { DestinationRule } from "./istio/destination-rule.ts";
import type { ConsistentHash, LocalityLbSetting } from "./istio/load-balancer.ts";
import type { ClientTlsSettings, TrafficPolicy } from "./istio/traffic-policy.ts";
import { type Problem, refusal } from "./problem.ts";
import { refuseHost, refuseHostOrAddress } from "./refuse-host.ts";
import { REGION_LABEL, SUBZONE_LABEL, ZONE_LABEL } from "./topology-labels.ts";

/** What Istio's validation of a DestinationRule refuses though clusters can be made of it. */
export function refuseDestinationRule({ host, trafficPolicy, subsets = [] }: DestinationRule["spec"]): Problem[] {
  const policies: [path: string, policy: TrafficPolicy | undefined][] = [
    ["spec.trafficPolicy", trafficPolicy],
    ...subsets.map((subset, index): [string, TrafficPolicy | undefined] => [
      `spec.subsets[${index}].trafficPolicy`,
      subset.trafficPolicy,
    ]),
  ];
  return [
    ...refuseHost(host, "spec.host"),
    ...policies.flatMap(([path, policy]) => (policy === undefined ? [] : refusePolicy(policy, path))),
  ];
}

function refusePolicy(policy: TrafficPolicy, path: string): Problem[] {
  const { tunnel, portLevelSettings = [] } = policy;
  return [
    ...refuseSettings(policy, path),
    ...portLevelSettings.flatMap((settings, index) => refuseSettings(settings, `${path}.portLevelSettings[${index}]`)),
    ...(tunnel === undefined ? [] : refuseHostOrAddress(tunnel.targetHost, `${path}.tunnel.targetHost`)),
  ];
}

function refuseSettings({ loadBalancer, tls }: Pick<TrafficPolicy, "loadBalancer" | "tls">, path: string): Problem[] {
  const { consistentHash, localityLbSetting } = loadBalancer ?? {};
  const at = `${path}.loadBalancer`;
  return [
    ...(consistentHash === undefined ? [] : refuseHash(consistentHash, `${at}.consistentHash`)),
    ...(localityLbSetting === undefined ? [] : refuseLocality(localityLbSetting, `${at}.localityLbSetting`)),
    ...(tls === undefined ? [] : refuseTls(tls, `${path}.tls`)),
  ];
}

/** Envoy's largest table has one entry less: it is to be a prime number. */
const MOST_ENTRIES = 5_000_010;

function refuseHash({ minimumRingSize = 0, ringHash, maglev, httpCookie }: ConsistentHash, path: string): Problem[] {
  const problems: Problem[] = [];
  if (minimumRingSize !== 0 && (ringHash ?? maglev) !== undefined) {
    problems.push(refusal(`${path}.minimumRingSize`, "stands beside ringHash or maglev: keep one of them"));
  }
  if (maglev !== undefined && ((maglev.tableSize ?? 0) === 0 || (maglev.tableSize ?? 0) > MOST_ENTRIES)) {
    const reason = `must be a prime number of up to ${MOST_ENTRIES}: Istio asks for it, and 65537 is Envoy's default`;
    problems.push(refusal(`${path}.maglev.tableSize`, reason));
  }
  const names = (httpCookie?.attributes ?? []).map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    const known = names.indexOf(name);
    if (known === index) continue;
    const reason = `is ${name}, as that of attributes[${known}]: a cookie has each attribute once`;
    problems.push(refusal(`${path}.httpCookie.attributes[${index}].name`, reason));
  }
  return problems;
}

function refuseLocality(setting: LocalityLbSetting, path: string): Problem[] {
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  const problems = refuseOverlap(
    distribute.map(({ from }) => from),
    clash,
    `${path}.distribute`,
  );
  for (const [index, { to }] of distribute.entries()) {
    const at = `${path}.distribute[${index}].to`;
    // A mapping has no order.
    append(
      problems,
      refuseOverlap(Object.keys(to), (a, b) => clash(a, b) && clash(b, a), at),
    );
    const idle = Object.keys(to).find((locality) => to[locality] === 0);
    if (idle !== undefined) problems.push(refusal(at, `gives ${idle} nothing: leave it out`));
  }
  for (const [index, { from, to }] of failover.entries()) {
    if (!`${from}${to}`.includes("/")) continue;
    problems.push(
      refusal(`${path}.failover[${index}]`, "must name regions alone, without a zone: use failoverPriority"),
    );
  }
  const label = failover.length === 0 ? undefined : failoverPriority.find((name) => LOCALITY_LABELS.includes(name));
  if (label !== undefined) {
    problems.push(
      refusal(`${path}.failoverPriority`, `has ${label}, which failover decides already: keep one of them`),
    );
  }
  return problems;
}

const LOCALITY_LABELS: readonly string[] = [REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL];

type Clash = (earlier: string, later: string) => boolean;

/** Which of two counts that cover the same place would be a guess. */
function refuseOverlap(localities: readonly string[], clashes: Clash, path: string): Problem[] {
  return localities.flatMap((locality, index): Problem[] => {
    const other = localities.slice(0, index).find((earlier) => clashes(earlier, locality));
    return other === undefined ? [] : [refusal(path, `has both ${other} and ${locality}: one covers the other`)];
  });
}

/** Istio takes a wildcard for the rest behind what it covers. */
function clash(earlier: string, later: string): boolean {
  return covers(earlier, later) || (!later.endsWith("*") && covers(later, earlier));
}

function covers(wide: string, narrow: string): boolean {
  const [whole, part] = [wide, narrow].map((locality) => locality.replace(/\/?\*$/, ""));
  return whole === "" || whole === part || part?.startsWith(`${whole}/`) === true;
}

function refuseTls({ mode, credentialName = "", caCrl = "", insecureSkipVerify }: ClientTlsSettings, path: string) {
  if (credentialName === "") return [];
  const problems: Problem[] = [];
  if (mode === "SIMPLE" && insecureSkipVerify === true) {
    const reason = "is true, while credentialName says whom to trust: keep one of them";
    problems.push(refusal(`${path}.insecureSkipVerify`, reason));
  }
  if ((mode === "SIMPLE" || mode === "MUTUAL") && caCrl !== "") {
    problems.push(refusal(`${path}.caCrl`, "stands beside credentialName, whose Secret holds such a list itself"));
  }
  return problems;
}

import { isIpBlock } from "./check-authorization-policy.ts";
import { checkWeights } from "./check-weights.ts";
import { hostMatches } from "./hostname.ts";
import type { L4Match, TcpRoute, TlsRoute } from "./istio/tcp-route.ts";
import { error, type Problem } from "./problem.ts";

/** What is wrong with a VirtualService's routes of connections. `hosts` are the VirtualService's. */
export function checkL4Routes(spec: {
  readonly hosts: readonly string[];
  readonly tls: readonly TlsRoute[];
  readonly tcp: readonly TcpRoute[];
}): Problem[] {
  const problems: Problem[] = [];
  for (const [index, { match, route }] of spec.tls.entries()) {
    const path = `spec.tls[${index}]`;
    problems.push(...checkWeights(route, `${path}.route`));
    for (const [at, condition] of match.entries()) {
      problems.push(...checkSubnets(condition, `${path}.match[${at}]`));
      problems.push(...checkSniHosts(condition.sniHosts, spec.hosts, `${path}.match[${at}].sniHosts`));
    }
  }
  for (const [index, { match = [], route }] of spec.tcp.entries()) {
    const path = `spec.tcp[${index}]`;
    problems.push(...checkWeights(route, `${path}.route`));
    for (const [at, condition] of match.entries()) problems.push(...checkSubnets(condition, `${path}.match[${at}]`));
  }
  return problems;
}

function checkSubnets({ destinationSubnets = [] }: L4Match, path: string): Problem[] {
  return destinationSubnets.flatMap((text, index) =>
    isIpBlock(text)
      ? []
      : [
          error(
            `${path}.destinationSubnets[${index}]`,
            `must be an IP address or a CIDR block, but is ${JSON.stringify(text)}`,
          ),
        ],
  );
}

/** Server names as Envoy takes them: whole, a whole suffix behind `*.`, or any. */
const SNI_HOST = /^\*$|^(\*\.)?[a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?$/;

function checkSniHosts(sniHosts: readonly string[], hosts: readonly string[], path: string): Problem[] {
  return sniHosts.flatMap((name, index): Problem[] => {
    const at = `${path}[${index}]`;
    if (!SNI_HOST.test(name)) return [error(at, `must be a host name or *.suffix, but is ${JSON.stringify(name)}`)];
    // Short names of hosts are not known to be part of a longer server name here.
    if (hosts.some((host) => !host.includes(".") || hostMatches(host.toLowerCase(), name.toLowerCase()))) return [];
    return [error(at, `is ${name}, which none of spec.hosts covers: add it there`)];
  });
}

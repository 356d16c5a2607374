import { append } from "../platform/append.ts";
import { isIpBlock } from "./check-authorization-policy.ts";
import { checkGatewayNames } from "./check-gateway-names.ts";
import { checkLabels } from "./check-labels.ts";
import { checkWeights } from "./check-weights.ts";
import type { L4Match, TcpRoute, TlsRoute } from "./istio/tcp-route.ts";
import { error, type Problem } from "./problem.ts";

/** What is wrong with a VirtualService's routes of connections. `hosts` are the VirtualService's. */
export function checkL4Routes(spec: {
  readonly hosts: readonly string[];
  readonly tls: readonly TlsRoute[];
  readonly tcp: readonly TcpRoute[];
}): Problem[] {
  const problems: Problem[] = [];
  const covers = coverOf(spec.hosts);
  for (const [index, { match, route }] of spec.tls.entries()) {
    const path = `spec.tls[${index}]`;
    append(problems, checkWeights(route, `${path}.route`));
    for (const [at, condition] of match.entries()) {
      append(problems, checkCondition(condition, `${path}.match[${at}]`));
      append(problems, checkSniHosts(condition.sniHosts, covers, `${path}.match[${at}].sniHosts`));
    }
  }
  for (const [index, { match = [], route }] of spec.tcp.entries()) {
    const path = `spec.tcp[${index}]`;
    append(problems, checkWeights(route, `${path}.route`));
    for (const [at, condition] of match.entries()) append(problems, checkCondition(condition, `${path}.match[${at}]`));
  }
  return problems;
}

function checkCondition({ destinationSubnets = [], sourceLabels, gateways }: L4Match, path: string): Problem[] {
  const subnets = destinationSubnets.flatMap((text, index) =>
    isIpBlock(text)
      ? []
      : [
          error(
            `${path}.destinationSubnets[${index}]`,
            `must be an IP address or a CIDR block, but is ${JSON.stringify(text)}`,
          ),
        ],
  );
  return [
    ...subnets,
    ...checkLabels(sourceLabels, `${path}.sourceLabels`),
    ...checkGatewayNames(gateways, `${path}.gateways`),
  ];
}

/** Server names as Envoy takes them: whole, a whole suffix behind `*.`, or any. */
const SNI_HOST = /^\*$|^(\*\.)?[a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?$/;

function checkSniHosts(sniHosts: readonly string[], covers: (name: string) => boolean, path: string): Problem[] {
  return sniHosts.flatMap((name, index): Problem[] => {
    const at = `${path}[${index}]`;
    if (name.length > MAX_NAME_CHARACTERS || !SNI_HOST.test(name)) {
      return [error(at, `must be a host name or *.suffix, but is ${JSON.stringify(name.slice(0, 60))}`)];
    }
    return covers(name) ? [] : [error(at, `is ${name}, which none of spec.hosts covers: add it there`)];
  });
}

const MAX_NAME_CHARACTERS = 255;

/** Whether one of the hosts covers a server name; a set asks as fast of thousands of hosts as of one. */
function coverOf(hosts: readonly string[]): (name: string) => boolean {
  // Short names of hosts are not known to be part of a longer server name here.
  if (hosts.some((host) => !host.includes("."))) return () => true;
  const known = new Set(hosts.map((host) => host.toLowerCase()));
  return (name) => {
    const host = name.toLowerCase();
    const labels = host.split(".");
    return known.has(host) || labels.some((_label, from) => known.has(`*.${labels.slice(from + 1).join(".")}`));
  };
}

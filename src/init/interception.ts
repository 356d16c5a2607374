import { isIPv6 } from "node:net";
import { type InterceptionSettings, PROXY_ID, PROXY_PORT } from "../injection/pod-contract.ts";

export type AddressFamily = "ipv4" | "ipv6";

/**
 * Which of the pod's TCP connections pass through Envoy, as rules of the `nat` table in chains of our own. They have
 * the names that Istio's have, because people and tools look for those.
 *
 * Outbound, in this order: Envoy's own connections leave as they are, those to the pod itself through the inbound
 * listener; what the app sends over loopback is its own business; then excluded ports and ranges, included ones,
 * and the rest.
 */
export function buildRules(settings: InterceptionSettings, family: AddressFamily): readonly string[] {
  return [
    ...chains.map((chain) => `:${chain} - [0:0]`),
    ...inbound(settings),
    ...outbound(settings, family),
    ...jumps(),
  ];
}

/**
 * What takes away whatever rules of ours `saved`, the output of `iptables-save -t nat`, shows.
 * In the same transaction, new ones may follow.
 */
export function buildRemoval(saved: string): readonly string[] {
  const lines = saved.split("\n");
  const leads = lines.filter((line) => /^-A (?!ISTIO_)\S+ /.test(line) && chains.some((chain) => leadsTo(line, chain)));
  const present = chains.filter((chain) => lines.some((line) => line.startsWith(`:${chain} `)));
  return [
    ...leads.map((line) => line.replace(/^-A/, "-D")),
    ...present.map((chain) => `-F ${chain}`),
    ...present.map((chain) => `-X ${chain}`),
  ];
}

/** One transaction on the `nat` table for `iptables-restore --noflush`: all of it happens or none. */
export function natTransaction(...parts: readonly (readonly string[])[]): string {
  return ["*nat", ...parts.flat(), "COMMIT", ""].join("\n");
}

const chains = ["ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT"] as const;

function leadsTo(line: string, chain: string): boolean {
  return line.split(" ").at(-1) === chain;
}

/** Last, so that no packet meets a half-built chain even where a transaction were not atomic. */
function jumps(): readonly string[] {
  return ["-A PREROUTING -p tcp -j ISTIO_INBOUND", "-A OUTPUT -p tcp -j ISTIO_OUTPUT"];
}

function inbound({ includeInboundPorts, excludeInboundPorts }: InterceptionSettings): readonly string[] {
  const own = [PROXY_PORT.tunnel, PROXY_PORT.agent, PROXY_PORT.status, PROXY_PORT.metrics];
  const redirected =
    includeInboundPorts === "*"
      ? ["-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT"]
      : includeInboundPorts.map((port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j ISTIO_IN_REDIRECT`);
  return [
    `-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${PROXY_PORT.inbound}`,
    ...[...own, ...excludeInboundPorts].map((port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j RETURN`),
    ...redirected,
  ];
}

function outbound(settings: InterceptionSettings, family: AddressFamily): readonly string[] {
  const loopback = family === "ipv4" ? "127.0.0.1/32" : "::1/128";
  // Envoy hands what came in to the app from this address, lest it come in again.
  const deliveredFrom = family === "ipv4" ? "127.0.0.6/32" : "::6/128";
  const ofFamily = (ranges: readonly string[]) =>
    ranges.filter((range) => isIPv6(hostOf(range)) === (family === "ipv6"));
  const { includeOutboundRanges: included } = settings;
  return [
    `-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports ${PROXY_PORT.outbound}`,
    ...settings.excludeOutboundPorts.map((port) => `-A ISTIO_OUTPUT -p tcp --dport ${port} -j RETURN`),
    `-A ISTIO_OUTPUT -s ${deliveredFrom} -o lo -j RETURN`,
    // A service that calls itself may be routed to its own pod, which then treats it as any other caller.
    `-A ISTIO_OUTPUT ! -d ${loopback} -o lo -p tcp -m owner --uid-owner ${PROXY_ID} -j ISTIO_IN_REDIRECT`,
    "-A ISTIO_OUTPUT -o lo -j RETURN",
    `-A ISTIO_OUTPUT -m owner --uid-owner ${PROXY_ID} -j RETURN`,
    `-A ISTIO_OUTPUT -m owner --gid-owner ${PROXY_ID} -j RETURN`,
    ...ofFamily(settings.excludeOutboundRanges).map((range) => `-A ISTIO_OUTPUT -d ${range} -j RETURN`),
    ...settings.includeOutboundPorts.map((port) => `-A ISTIO_OUTPUT -p tcp --dport ${port} -j ISTIO_REDIRECT`),
    ...(included === "*"
      ? ["-A ISTIO_OUTPUT -j ISTIO_REDIRECT"]
      : ofFamily(included).map((range) => `-A ISTIO_OUTPUT -d ${range} -j ISTIO_REDIRECT`)),
  ];
}

function hostOf(range: string): string {
  return range.slice(0, range.indexOf("/"));
}

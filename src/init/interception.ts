import { isIPv6 } from "node:net";
import { PROXY_PORT } from "../injection/pod-contract.ts";
import type { AddressFamily } from "./address-family.ts";
import { DELIVERY_SOURCE } from "./app-address.ts";
import { otherQuestions } from "./dns-questions.ts";
import type { PodInterception } from "./pod-interception.ts";
import type { Rules } from "./rules-transaction.ts";

/** Where Envoy answers DNS queries. */
export const DNS_PORT = 15053;

/** Of packets that TPROXY hands to Envoy and of connections by which Envoy hands them on, in the caller's name. */
export const TPROXY_MARK = 1337;

/**
 * Which of the pod's connections pass through Envoy, in chains of our own. They have the names that Istio's have,
 * because people and tools look for those.
 *
 * Outbound, in this order: excluded ports and interfaces; what Envoy hands to the app; Envoy's own connections, those
 * to the pod itself through the inbound listener; what the app sends over loopback is its own business; then excluded
 * ranges, included ports and ranges, and the rest. DNS queries that go to Envoy are those for addresses of the
 * `dnsFamilies`; null is all queries.
 */
export function buildRules(
  settings: PodInterception,
  family: AddressFamily,
  dnsFamilies: readonly AddressFamily[] | null = [family],
): Rules {
  const isTproxy = settings.mode === "TPROXY";
  const dns = settings.redirectDns && !settings.excludeOutboundPorts.includes(53);
  return {
    raw: dns ? dnsZones(settings, dnsFamilies) : [],
    mangle: isTproxy ? tproxy(settings) : [],
    nat: [
      ...["ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT"].map(newChain),
      ...(dns ? [newChain("ISTIO_OUTPUT_DNS")] : []),
      `-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${PROXY_PORT.inbound}`,
      `-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports ${PROXY_PORT.outbound}`,
      ...rerouted(settings, family),
      ...(isTproxy ? [] : inbound(settings, "ISTIO_IN_REDIRECT")),
      ...outbound(settings, family),
      ...(dns ? dnsRules(settings, family, dnsFamilies) : []),
      // Last, so that no packet meets a half-built chain even where a transaction were not atomic.
      "-A PREROUTING -p tcp -j ISTIO_INBOUND",
      ...(dns ? ["udp", "tcp"].map((protocol) => `-A OUTPUT -p ${protocol} --dport 53 -j ISTIO_OUTPUT_DNS`) : []),
      "-A OUTPUT -p tcp -j ISTIO_OUTPUT",
    ],
  };
}

function newChain(name: string): string {
  return `:${name} - [0:0]`;
}

function inbound(settings: PodInterception, target: string): readonly string[] {
  const { includeInboundPorts: included, excludeInboundPorts: excluded } = settings;
  const own = [PROXY_PORT.tunnel, settings.statusPort, PROXY_PORT.status, PROXY_PORT.metrics];
  return [
    ...settings.excludeInterfaces.map((name) => `-A ISTIO_INBOUND -i ${name} -j RETURN`),
    ...[...own, ...excluded].map((port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j RETURN`),
    ...(included === "*"
      ? [`-A ISTIO_INBOUND -p tcp -j ${target}`]
      : included.map((port) => `-A ISTIO_INBOUND -p tcp --dport ${port} -j ${target}`)),
  ];
}

/** What machines inside the pod send: the app's rules without loopback, as none of it is the pod's own. */
function rerouted(settings: PodInterception, family: AddressFamily): readonly string[] {
  const included = ofFamily(settings.includeOutboundRanges, family);
  return settings.rerouteInterfaces.flatMap((name) => [
    ...ofFamily(settings.excludeOutboundRanges, family).map(
      (range) => `-A ISTIO_INBOUND -i ${name} -d ${range} -j RETURN`,
    ),
    ...included.map((range) => `-A ISTIO_INBOUND -i ${name} ${to(range)}-j ISTIO_REDIRECT`),
    `-A ISTIO_INBOUND -i ${name} -j RETURN`,
  ]);
}

function outbound(settings: PodInterception, family: AddressFamily): readonly string[] {
  const own = owners(settings);
  return [
    ...settings.excludeOutboundPorts.map((port) => `-A ISTIO_OUTPUT -p tcp --dport ${port} -j RETURN`),
    ...settings.excludeInterfaces.map((name) => `-A ISTIO_OUTPUT -o ${name} -j RETURN`),
    ...(settings.mode === "TPROXY" ? [`-A ISTIO_OUTPUT -m mark --mark ${TPROXY_MARK} -j RETURN`] : []),
    // Envoy hands what came in to the app from this address, lest it come in again.
    `-A ISTIO_OUTPUT -s ${host(DELIVERY_SOURCE[family])} -o lo -j RETURN`,
    // A service that calls itself may be routed to its own pod, which then treats it as any other caller.
    ...own.map((owner) => `-A ISTIO_OUTPUT ! -d ${host(loopback[family])} -o lo -p tcp ${owner} -j ISTIO_IN_REDIRECT`),
    "-A ISTIO_OUTPUT -o lo -j RETURN",
    ...own.map((owner) => `-A ISTIO_OUTPUT ${owner} -j RETURN`),
    ...ofFamily(settings.excludeOutboundRanges, family).map((range) => `-A ISTIO_OUTPUT -d ${range} -j RETURN`),
    ...settings.includeOutboundPorts.map((port) => `-A ISTIO_OUTPUT -p tcp --dport ${port} -j ISTIO_REDIRECT`),
    ...ofFamily(settings.includeOutboundRanges, family).map((range) => `-A ISTIO_OUTPUT ${to(range)}-j ISTIO_REDIRECT`),
  ];
}

function dnsRules(
  settings: PodInterception,
  family: AddressFamily,
  dnsFamilies: readonly AddressFamily[] | null,
): readonly string[] {
  return [
    ...settings.excludeInterfaces.map((name) => `-A ISTIO_OUTPUT_DNS -o ${name} -j RETURN`),
    // A resolver on loopback is the pod's own; what it asks others comes by here again.
    "-A ISTIO_OUTPUT_DNS -o lo -j RETURN",
    ...owners(settings).map((owner) => `-A ISTIO_OUTPUT_DNS ${owner} -j RETURN`),
    ...ofFamily(settings.excludeOutboundRanges, family).map((range) => `-A ISTIO_OUTPUT_DNS -d ${range} -j RETURN`),
    ...(dnsFamilies === null ? [] : [`-A ISTIO_OUTPUT_DNS -p udp ${otherQuestions(dnsFamilies)} -j RETURN`]),
    ...["udp", "tcp"].map((protocol) => `-A ISTIO_OUTPUT_DNS -p ${protocol} -j REDIRECT --to-ports ${DNS_PORT}`),
  ];
}

/**
 * Connection tracking remembers for a while that queries from a port were redirected. Where Envoy happens to ask from
 * that port next, its query would come back to itself, so its queries are remembered apart. So are those of the app that
 * Envoy is not to answer: a resolver asks for addresses of both families from one port.
 */
function dnsZones(settings: PodInterception, dnsFamilies: readonly AddressFamily[] | null): readonly string[] {
  const others = dnsFamilies === null ? [] : [otherQuestions(dnsFamilies)];
  return [
    newChain("ISTIO_DNS_ZONE"),
    ...owners(settings).map((owner) => `-A ISTIO_DNS_ZONE -p udp --dport 53 ${owner} -j CT --zone 1`),
    ...others.map((match) => `-A ISTIO_DNS_ZONE ! -o lo -p udp --dport 53 ${match} -j CT --zone 1`),
    "-A PREROUTING ! -i lo -p udp --sport 53 -j CT --zone 1",
    "-A OUTPUT -p udp --dport 53 -j ISTIO_DNS_ZONE",
  ];
}

/**
 * A new connection goes to Envoy as it is. Envoy connects to the app from the caller's address, with the mark, and the
 * mark brings the app's answers to that address back to Envoy instead of out of the pod (see ip-setup.ts).
 */
function tproxy(settings: PodInterception): readonly string[] {
  return [
    ...["ISTIO_INBOUND", "ISTIO_TPROXY", "ISTIO_OUTPUT"].map(newChain),
    `-A ISTIO_TPROXY -p tcp -j TPROXY --on-port ${PROXY_PORT.inbound} --tproxy-mark ${TPROXY_MARK}/0xffffffff`,
    "-A ISTIO_INBOUND -i lo -j RETURN",
    ...settings.rerouteInterfaces.map((name) => `-A ISTIO_INBOUND -i ${name} -j RETURN`),
    // Answers to the pod's own connections, and what already has a socket of Envoy's.
    "-A ISTIO_INBOUND -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
    ...inbound(settings, "ISTIO_TPROXY"),
    `-A ISTIO_OUTPUT -m mark --mark ${TPROXY_MARK} -j CONNMARK --save-mark`,
    `-A ISTIO_OUTPUT -m connmark --mark ${TPROXY_MARK} -j CONNMARK --restore-mark`,
    "-A PREROUTING -p tcp -j ISTIO_INBOUND",
    "-A OUTPUT -p tcp -j ISTIO_OUTPUT",
  ];
}

const loopback: Readonly<Record<AddressFamily, string>> = { ipv4: "127.0.0.1", ipv6: "::1" };

function owners({ proxyUids, proxyGids }: PodInterception): readonly string[] {
  return [
    ...proxyUids.map((uid) => `-m owner --uid-owner ${uid}`),
    ...proxyGids.map((gid) => `-m owner --gid-owner ${gid}`),
  ];
}

function ofFamily(ranges: "*" | readonly string[], family: AddressFamily): readonly string[] {
  if (ranges === "*") return [ALL];
  return ranges.filter((range) => isIPv6(range.slice(0, range.indexOf("/"))) === (family === "ipv6"));
}

const ALL = "*";

function to(range: string): string {
  return range === ALL ? "" : `-d ${range} `;
}

function host(address: string): string {
  return `${address}/${isIPv6(address) ? 128 : 32}`;
}

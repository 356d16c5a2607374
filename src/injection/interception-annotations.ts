import { entry } from "./annotation-entry.ts";
import * as value from "./annotation-values.ts";
import { parsePorts, parsePortsOrAll, parseRanges, parseRangesOrAll } from "./interception-lists.ts";

/** With a plus at the end for any rest, as iptables has it. */
const interfaces = value.parseNames("network interfaces", /^(?=.{1,15}$)[A-Za-z0-9._@][A-Za-z0-9._@-]*\+?$/);

/** Which traffic of the pod goes by way of the proxy, and how it comes there. */
export const INTERCEPTION_ANNOTATIONS = {
  interceptionMode: entry({
    name: "sidecar.istio.io/interceptionMode",
    type: "REDIRECT, TPROXY or NONE",
    parse: value.parseOneOf("REDIRECT", "TPROXY", "NONE"),
    fallback: "`REDIRECT`",
    effect: "how traffic comes to Envoy; TPROXY keeps the client's address and makes the sidecar run as root",
  }),
  includeInboundPorts: entry({
    name: "traffic.sidecar.istio.io/includeInboundPorts",
    type: "ports, or `*`",
    parse: parsePortsOrAll,
    fallback: "`*`",
    effect: 'redirect only these; `""` for none',
  }),
  excludeInboundPorts: entry({
    name: "traffic.sidecar.istio.io/excludeInboundPorts",
    type: "ports",
    parse: parsePorts,
    effect: "leave these alone",
  }),
  includeOutboundRanges: entry({
    name: "traffic.sidecar.istio.io/includeOutboundIPRanges",
    type: "CIDRs, or `*`",
    parse: parseRangesOrAll,
    fallback: "`*`",
    effect: 'redirect only what goes there; `""` for nothing',
  }),
  excludeOutboundRanges: entry({
    name: "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    type: "CIDRs",
    parse: parseRanges,
    effect: "leave alone what goes there",
  }),
  includeOutboundPorts: entry({
    name: "traffic.sidecar.istio.io/includeOutboundPorts",
    type: "ports",
    parse: parsePorts,
    effect: "redirect these whatever the destination, unless that is excluded",
  }),
  excludeOutboundPorts: entry({
    name: "traffic.sidecar.istio.io/excludeOutboundPorts",
    type: "ports",
    parse: parsePorts,
    effect: "leave these alone",
  }),
  excludeInterfaces: entry({
    name: "traffic.sidecar.istio.io/excludeInterfaces",
    type: "interfaces",
    parse: interfaces,
    effect: "leave alone what comes and goes through these",
  }),
  rerouteVirtualInterfaces: entry({
    name: "istio.io/reroute-virtual-interfaces",
    type: "interfaces",
    parse: interfaces,
    effect: "treat what comes from these, such as virtual machines, as outbound",
  }),
  kubevirtInterfaces: entry({
    name: "traffic.sidecar.istio.io/kubevirtInterfaces",
    type: "interfaces",
    parse: interfaces,
    effect: "the older spelling of `istio.io/reroute-virtual-interfaces`",
  }),
} as const;

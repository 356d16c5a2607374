import { checkProxyConfig } from "../mesh/check-proxy-config.ts";
import { regexProblem } from "../mesh/regex-problem.ts";
import { TrysailError } from "../platform/errors.ts";
import { type Entry, entry } from "./annotation-entry.ts";
import * as value from "./annotation-values.ts";
import { parsePorts, parsePortsOrAll, parseRanges, parseRangesOrAll } from "./interception-lists.ts";
import { parseProxyConfig, type ReadProxyConfig } from "./proxy-config.ts";

/**
 * Every annotation of a pod that Istio documents, and what it does here. The injector reads annotations only through
 * these entries, and docs/injection.md lists them. https://istio.io/latest/docs/reference/config/annotations/
 */

const names = value.parseNames;
const wholeNumber = value.parseWholeNumber;
const objectNames = names("names", /^[A-Za-z0-9._-]+$/);
/** With a plus at the end for any rest, as iptables has it. */
const interfaces = names("network interfaces", /^(?=.{1,15}$)[A-Za-z0-9._@][A-Za-z0-9._@-]*\+?$/);

const inject: Entry<string> = entry({
  name: "sidecar.istio.io/inject",
  type: "true or false",
  parse: value.parseAnything,
  effect: "the older spelling of the label; selects nothing by itself",
});

const sidecar = {
  templates: entry({
    name: "inject.istio.io/templates",
    type: "names",
    parse: objectNames,
    fallback: "`sidecar`",
    effect: "which injection templates are applied, in this order: `sidecar`, `gateway`, or those of the configuration",
  }),
  proxyImage: entry({
    name: "sidecar.istio.io/proxyImage",
    type: "image",
    parse: value.parseImage,
    effect: "the image of the sidecar; it must hold an Envoy",
  }),
  proxyImageType: entry({
    name: "sidecar.istio.io/proxyImageType",
    type: "word",
    parse: value.parseImageType,
    fallback: "`default`",
    effect: "the variant of the image, such as `distroless`: `envoy:v1` becomes `envoy:distroless-v1`",
  }),
  proxyCpu: entry({
    name: "sidecar.istio.io/proxyCPU",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's CPU request; any of these four replaces all of the mesh's defaults",
  }),
  proxyCpuLimit: entry({
    name: "sidecar.istio.io/proxyCPULimit",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's CPU limit",
  }),
  proxyMemory: entry({
    name: "sidecar.istio.io/proxyMemory",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's memory request",
  }),
  proxyMemoryLimit: entry({
    name: "sidecar.istio.io/proxyMemoryLimit",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's memory limit",
  }),
  logLevel: entry({
    name: "sidecar.istio.io/logLevel",
    type: "level",
    parse: value.parseLogLevel,
    fallback: "`warning`",
    effect: "Envoy's log level",
  }),
  componentLogLevel: entry({
    name: "sidecar.istio.io/componentLogLevel",
    type: "`COMPONENT:LEVEL,…`",
    parse: value.parseComponentLogLevel,
    fallback: "`misc:error`",
    effect: "Envoy's log level by component",
  }),
  agentLogLevel: entry({
    name: "sidecar.istio.io/agentLogLevel",
    type: "level",
    parse: value.parseAnything,
    effect: "none",
    without: "there is no agent whose log it could be",
  }),
  interceptionMode: entry({
    name: "sidecar.istio.io/interceptionMode",
    type: "REDIRECT, TPROXY or NONE",
    parse: value.parseOneOf("REDIRECT", "TPROXY", "NONE"),
    fallback: "`REDIRECT`",
    effect: "how traffic comes to Envoy; TPROXY keeps the client's address and makes the sidecar run as root",
  }),
  nativeSidecar: entry({
    name: "sidecar.istio.io/nativeSidecar",
    type: "true or false",
    parse: value.parseBoolean,
    fallback: "`true`",
    effect: "whether the sidecar is a native one (an init container that stays) or a container beside the app",
  }),
  rewriteAppProbes: entry({
    name: "sidecar.istio.io/rewriteAppHTTPProbers",
    type: "true or false",
    parse: value.parseBoolean,
    fallback: "`true`",
    effect: "whether the app's probes are moved to the status port",
  }),
  discoveryAddress: entry({
    name: "sidecar.istio.io/discoveryAddress",
    type: "`HOST:PORT`",
    parse: value.parseHostAndPort,
    effect: "the control plane's address",
  }),
  userVolume: entry({
    name: "sidecar.istio.io/userVolume",
    type: '`{"NAME": {…}}`',
    parse: value.parseNamedObjects,
    effect: "further volumes of the pod",
  }),
  userVolumeMount: entry({
    name: "sidecar.istio.io/userVolumeMount",
    type: '`{"NAME": {"mountPath": …}}`',
    parse: value.parseNamedObjects,
    effect: "further volume mounts of the sidecar",
  }),
  bootstrapOverride: entry({
    name: "sidecar.istio.io/bootstrapOverride",
    type: "name",
    parse: value.parseObjectName,
    effect: "a ConfigMap whose `custom_bootstrap.json` is merged over Envoy's bootstrap",
  }),
  extraStatTags: entry({
    name: "sidecar.istio.io/extraStatTags",
    type: "names",
    parse: objectNames,
    effect: "as the ProxyConfig's `extraStatTags`",
  }),
  statsInclusionPrefixes: entry({
    name: "sidecar.istio.io/statsInclusionPrefixes",
    type: "texts",
    parse: names("texts", /^\S+$/),
    effect: "as `inclusionPrefixes` of the ProxyConfig's `proxyStatsMatcher`",
  }),
  statsInclusionSuffixes: entry({
    name: "sidecar.istio.io/statsInclusionSuffixes",
    type: "texts",
    parse: names("texts", /^\S+$/),
    effect: "as `inclusionSuffixes` of the ProxyConfig's `proxyStatsMatcher`",
  }),
  statsInclusionRegexps: entry({
    name: "sidecar.istio.io/statsInclusionRegexps",
    type: "texts",
    parse: parseRegexes,
    effect: "as `inclusionRegexps` of the ProxyConfig's `proxyStatsMatcher`",
  }),
  inject,
} as const;

const readiness = {
  statusPort: entry({
    name: "status.sidecar.istio.io/port",
    type: "port, or 0",
    parse: wholeNumber(0, 65535),
    fallback: "`15021`",
    effect: "0 takes the sidecar's readiness and startup probes away; the port itself stays 15021",
  }),
  initialDelaySeconds: entry({
    name: "readiness.status.sidecar.istio.io/initialDelaySeconds",
    type: "number",
    parse: wholeNumber(0, 86_400),
    fallback: "`0`",
    effect: "of the sidecar's readiness probe",
  }),
  periodSeconds: entry({
    name: "readiness.status.sidecar.istio.io/periodSeconds",
    type: "number",
    parse: wholeNumber(1, 86_400),
    fallback: "`15`",
    effect: "of the sidecar's readiness probe",
  }),
  failureThreshold: entry({
    name: "readiness.status.sidecar.istio.io/failureThreshold",
    type: "number",
    parse: wholeNumber(1, 1_000_000),
    fallback: "`4`",
    effect: "of the sidecar's readiness probe",
  }),
  applicationPorts: entry({
    name: "readiness.status.sidecar.istio.io/applicationPorts",
    type: "ports",
    parse: parsePorts,
    effect: "none",
    without: "the app's own probes say whether it listens",
  }),
} as const;

const traffic = {
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

const proxyConfig: Entry<ReadProxyConfig> = entry({
  name: "proxy.istio.io/config",
  type: "ProxyConfig, YAML",
  parse: parseProxyConfig,
  effect: "the pod's own ProxyConfig, over the mesh's; its fields are below",
});

const others = {
  proxyConfig,
  mergeMetrics: entry({
    name: "prometheus.istio.io/merge-metrics",
    type: "true or false",
    parse: value.parseBoolean,
    fallback: "`true`",
    effect:
      "whether `prometheus.io/…` annotations lead to the metrics of proxy and app in one answer; else they stay as they are",
  }),
} as const;

/** Read by others, or written by Istio's parts: known, and left alone. */
const leftAlone = {
  status: entry({
    name: "sidecar.istio.io/status",
    type: "JSON",
    parse: value.parseAnything,
    effect: "written by injection: what was added",
  }),
  overrides: entry({
    name: "proxy.istio.io/overrides",
    type: "JSON",
    parse: value.parseAnything,
    effect: "written by Istio's injector; left alone",
  }),
  revision: entry({
    name: "istio.io/rev",
    type: "name",
    parse: value.parseAnything,
    effect: "written by injection: the revision that did it",
  }),
  statsHistogramBuckets: entry({
    name: "sidecar.istio.io/statsHistogramBuckets",
    type: '`{"PREFIX": [1, 5]}`',
    parse: parseBuckets,
    effect: "the bounds of histograms whose names begin so",
  }),
  statsCompression: entry({
    name: "sidecar.istio.io/statsCompression",
    type: "true or false",
    parse: value.parseBoolean,
    effect: "as the ProxyConfig's `statsCompression`",
  }),
  statsEvictionInterval: entry({
    name: "sidecar.istio.io/statsEvictionInterval",
    type: "duration",
    parse: parseEvictionInterval,
    effect: "as the ProxyConfig's `statsEvictionInterval`",
  }),
  controlPlaneAuthPolicy: entry({
    name: "sidecar.istio.io/controlPlaneAuthPolicy",
    type: "word",
    parse: value.parseAnything,
    effect: "none",
    without: "the control plane is always spoken to over TLS",
  }),
  enableCoreDump: entry({
    name: "sidecar.istio.io/enableCoreDump",
    type: "true or false",
    parse: value.parseBoolean,
    effect: "none",
    without: "it would need a privileged container",
  }),
  autoMtls: entry({
    name: "security.istio.io/autoMTLS",
    type: "true or false",
    parse: value.parseAnything,
    effect: "none",
    without: "the mesh's setting holds for all",
  }),
} as const;

export const ANNOTATION = { ...sidecar, ...readiness, ...traffic, ...others, ...leftAlone } as const;

export const ANNOTATION_BY_NAME: ReadonlyMap<string, Entry<unknown>> = new Map(
  Object.values(ANNOTATION).map((known) => [known.name, known]),
);

/** Envoy would refuse to start with one that is none. */
function parseRegexes(text: string, source: string): readonly string[] {
  const regexes = names("texts", /^\S+$/)(text, source);
  for (const regex of regexes) {
    const problem = regexProblem(regex);
    if (problem !== null) throw new TrysailError("invalid-argument", `${source}: ${JSON.stringify(regex)} ${problem}`);
  }
  return regexes;
}

function parseEvictionInterval(text: string, source: string): string {
  const interval = value.parseDuration(text, source);
  const [problem] = checkProxyConfig({ statsEvictionInterval: interval });
  if (problem === undefined) return interval;
  throw value.badValue(source, text, "a multiple of 5s");
}

function parseBuckets(text: string, source: string): string {
  const buckets = Object.values(value.parseObject(text, source));
  // What Envoy takes: a list that begins above zero and goes on rising.
  const isRising = (list: readonly unknown[]) =>
    list.every((bound, index) => typeof bound === "number" && bound > Number(index === 0 ? 0 : list[index - 1]));
  if (buckets.every((list) => Array.isArray(list) && list.length > 0 && isRising(list))) return text;
  throw value.badValue(source, text, `JSON such as {"PREFIX": [1, 5]}`);
}

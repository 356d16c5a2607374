import { isJson } from "../platform/json-of.ts";
import { joinPath } from "./conform.ts";
import type { ProxyConfig } from "./istio/mesh-proxy-config.ts";
import { error, type Problem } from "./problem.ts";
import { regexesProblem, regexProblem } from "./regex-problem.ts";

/**
 * What in a ProxyConfig of valid shape no proxy could start with. The pod's own start would be too late to tell: it would
 * be tried again and again. Paths are those of the ProxyConfig's fields.
 */
export function checkProxyConfig(config: ProxyConfig): Problem[] {
  return [...checkAddresses(config), ...checkStats(config), ...checkFlags(config), ...checkMetadata(config)];
}

function checkAddresses(config: ProxyConfig): Problem[] {
  const { tracing, envoyAccessLogService: logs, envoyMetricsService: metrics } = config;
  const addresses: readonly [path: string, address: string | undefined][] = [
    ["discoveryAddress", config.discoveryAddress],
    ["statsdUdpAddress", config.statsdUdpAddress],
    ["tracing.zipkin.address", tracing?.zipkin?.address],
    ["tracing.datadog.address", tracing?.datadog?.address],
    ["envoyAccessLogService.address", logs?.address],
    ["envoyMetricsService.address", metrics?.address],
  ];
  const tls = [
    { path: "tracing.tlsSettings", settings: tracing?.tlsSettings },
    { path: "envoyAccessLogService.tlsSettings", settings: logs?.tlsSettings },
    { path: "envoyMetricsService.tlsSettings", settings: metrics?.tlsSettings },
  ];
  return [
    ...addresses.flatMap(([path, address]) =>
      !address || isHostAndPort(address) ? [] : [error(path, `must be HOST:PORT, but is ${shown(address)}`)],
    ),
    ...tls.flatMap(({ path, settings }) =>
      settings?.mode === "MUTUAL" && !(settings.clientCertificate && settings.privateKey)
        ? [error(path, "is MUTUAL, which needs clientCertificate and privateKey")]
        : [],
    ),
  ];
}

/** A name, an address (of IPv6 in brackets), or a variable such as `$(HOST_IP)`, and a port. */
function isHostAndPort(text: string): boolean {
  const [, port] = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|\$\([A-Z_]+\)):([0-9]{1,5})$/.exec(text) ?? [];
  return Number(port) >= 1 && Number(port) <= 65_535;
}

const MAX_REGEX_CHARACTERS = 1024;
/** How often Envoy looks at its stats, and so when it can let unused ones go. */
const STATS_FLUSH_MS = 5000;

function checkStats({ proxyStatsMatcher: matcher = {}, extraStatTags = [], statsEvictionInterval }: ProxyConfig) {
  const { inclusionPrefixes = [], inclusionSuffixes = [], inclusionRegexps = [] } = matcher;
  const lists = { inclusionPrefixes, inclusionSuffixes };
  const tooMany = regexesProblem(inclusionRegexps);
  if (tooMany !== null) return [error("proxyStatsMatcher.inclusionRegexps", tooMany)];
  const intervalMs = statsEvictionInterval === undefined ? STATS_FLUSH_MS : milliseconds(statsEvictionInterval);
  return [
    ...Object.entries(lists).flatMap(([name, list]) => checkNotEmpty(list, `proxyStatsMatcher.${name}`)),
    ...checkNotEmpty(extraStatTags, "extraStatTags"),
    ...inclusionRegexps.flatMap((regex, index) => {
      const isLong = regex.length > MAX_REGEX_CHARACTERS;
      const reason = isLong ? `must be at most ${MAX_REGEX_CHARACTERS} characters long` : regexProblem(regex);
      return reason === null ? [] : [error(`proxyStatsMatcher.inclusionRegexps[${index}]`, reason)];
    }),
    ...(intervalMs > 0 && intervalMs % STATS_FLUSH_MS === 0
      ? []
      : [error("statsEvictionInterval", "must be a multiple of 5s, which is how often Envoy looks at its stats")]),
  ];
}

function checkNotEmpty(list: readonly string[], path: string): Problem[] {
  return list.flatMap((item, index) => (item === "" ? [error(`${path}[${index}]`, "must not be empty text")] : []));
}

/** It becomes part of the image's tag. */
const IMAGE_TYPE = /^([a-z][a-z0-9-]{0,62})?$/;
/** The most that Envoy's flags take, to the day and to the gibibyte. */
const MAX_FLUSH_MS = 24 * 3_600_000;
const MAX_FLUSH_KB = 1024 * 1024;

/** Administration, captured traffic, tunnels, DNS and Envoy's metrics. */
const PROXY_PORTS: readonly number[] = [15_000, 15_001, 15_006, 15_008, 15_053, 15_090];

function checkFlags({ image, fileFlushInterval, fileFlushMinSizeKb = 0, statusPort = 0 }: ProxyConfig): Problem[] {
  return [
    ...(PROXY_PORTS.includes(statusPort)
      ? [error("statusPort", `must not be ${statusPort}, which the proxy needs for something else`)]
      : []),
    ...(IMAGE_TYPE.test(image?.imageType ?? "")
      ? []
      : [error("image.imageType", "must be a type of image such as default, debug or distroless")]),
    ...(fileFlushInterval !== undefined && milliseconds(fileFlushInterval) > MAX_FLUSH_MS
      ? [error("fileFlushInterval", "must be at most 24h")]
      : []),
    ...(fileFlushMinSizeKb > MAX_FLUSH_KB ? [error("fileFlushMinSizeKb", `must be at most ${MAX_FLUSH_KB}`)] : []),
  ];
}

/** What Kubernetes takes as the name of an environment variable everywhere. */
const ENVIRONMENT_NAME = /^[-._a-zA-Z][-._a-zA-Z0-9]{0,252}$/;
const isDuration = /^([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+$/;

function checkMetadata({ proxyMetadata = {} }: ProxyConfig): Problem[] {
  return [
    ...Object.keys(proxyMetadata)
      .filter((name) => !ENVIRONMENT_NAME.test(name))
      .map((name) => error(joinPath("proxyMetadata", name), "is not the name of an environment variable")),
    ...Object.entries(proxyMetadata).flatMap(([name, value]) => {
      const reason = metadataReason(name, String(value));
      return reason === null
        ? []
        : [error(joinPath("proxyMetadata", name), `${reason}, but is ${shown(String(value))}`)];
    }),
  ];
}

/** Of the variables that are more than a text to the proxy. */
function metadataReason(name: string, value: string): string | null {
  if (value.includes("\0")) return "must not hold a NUL";
  if (name === "MINIMUM_DRAIN_DURATION" && !isDuration.test(value)) return "must be a duration such as 5s";
  if (name === "EXIT_ON_ZERO_ACTIVE_CONNECTIONS" && !/^(?:1|0|t|f|T|F|true|false|TRUE|FALSE|True|False)$/.test(value)) {
    return "must be true or false";
  }
  return name.startsWith("ISTIO_METAJSON_") && !isJson(value) ? "must be JSON" : null;
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, ns: 1e-6 };

function milliseconds(duration: string): number {
  let sum = 0;
  for (const [, amount, unit] of duration.matchAll(/([0-9.]+)(h|ms|m|s|us|ns)/g)) {
    sum += Number(amount) * (UNIT_MS[unit ?? ""] ?? 0);
  }
  return sum;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60).toWellFormed()}…` : text);
}

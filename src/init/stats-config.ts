import type { StatsConfigJson } from "../gen/envoy/config/metrics/v3/stats_pb.ts";
import { escapeRegex } from "../platform/escape-regex.ts";
import type { BootstrapConfig } from "./bootstrap-config.ts";
import { histogramBuckets } from "./histogram-buckets.ts";

/**
 * Which stats Envoy keeps, and what becomes a label of them. A cluster alone has over a hundred, and a large mesh has
 * thousands of clusters, so that without a choice stats would be most of the proxy's memory: kept are those that the
 * mesh itself lives by, and what `proxyStatsMatcher` adds, as in Istio.
 */
export function statsConfig(
  config: BootstrapConfig,
  domainSuffix: string,
  annotations: Readonly<Record<string, string>>,
): StatsConfigJson {
  const { inclusionPrefixes = [], inclusionSuffixes = [], inclusionRegexps = [] } = config.proxyStatsMatcher ?? {};
  return {
    useAllDefaultTags: true,
    statsTags: [
      { tagName: "cluster_name", regex: clusterNamePattern(domainSuffix) },
      ...(config.extraStatTags ?? []).map((tagName) => ({ tagName, regex: extraTagPattern(tagName) })),
    ],
    histogramBucketSettings: histogramBuckets(annotations),
    statsMatcher: {
      inclusionList: {
        patterns: [
          ...[...keptPrefixes, ...inclusionPrefixes].map((prefix) => ({ prefix })),
          ...[...keptSuffixes, ...inclusionSuffixes].map((suffix) => ({ suffix })),
          ...inclusionRegexps.map((regex) => ({ safeRegex: { regex } })),
        ],
      },
    },
  };
}

const keptPrefixes = [
  // The mesh's standard metrics.
  "istio",
  ...["server.", "main_thread.", "cluster_manager.", "listener_manager.", "control_plane.", "overload.", "runtime."],
  "cluster.agent.",
  // The health_check filter answers TCP and gRPC probes by the stats of these clusters.
  "cluster.app-health-",
];

const keptSuffixes = [
  // A proxy that is to end waits until these are zero.
  ".downstream_cx_active",
  // Why a policy let nobody in.
  "rbac.allowed",
  "rbac.denied",
  "shadow_allowed",
  "shadow_denied",
];

/** Names of clusters have dots of their own, and where Envoy ends them by itself, nothing but `outbound|80||web` is left. */
function clusterNamePattern(domainSuffix: string): string {
  const suffix = domainSuffix.replaceAll(".", "\\.");
  return `^cluster\\.((outbound\\|[0-9]+\\|[^|]*\\|[^|]+\\.svc\\.${suffix}|inbound\\|[0-9]+\\|\\|)\\.)`;
}

/** As Istio's extensions write tags into names: `…;.TAG=.=VALUE;.…`. */
function extraTagPattern(tagName: string): string {
  return `(${escapeRegex(tagName)}=\\.=(.*?);\\.)`;
}

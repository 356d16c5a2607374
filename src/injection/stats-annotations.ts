import { checkProxyConfig } from "../mesh/check-proxy-config.ts";
import { regexesProblem, regexProblem } from "../mesh/regex-problem.ts";
import { TrysailError } from "../platform/errors.ts";
import { entry } from "./annotation-entry.ts";
import * as value from "./annotation-values.ts";

const texts = value.parseNames("texts", /^\S+$/);

/** Which metrics there are, and where. */
export const STATS_ANNOTATIONS = {
  extraStatTags: entry({
    name: "sidecar.istio.io/extraStatTags",
    type: "names",
    parse: value.parseObjectNames,
    effect: "as the ProxyConfig's `extraStatTags`",
  }),
  statsInclusionPrefixes: entry({
    name: "sidecar.istio.io/statsInclusionPrefixes",
    type: "texts",
    parse: texts,
    effect: "as `inclusionPrefixes` of the ProxyConfig's `proxyStatsMatcher`",
  }),
  statsInclusionSuffixes: entry({
    name: "sidecar.istio.io/statsInclusionSuffixes",
    type: "texts",
    parse: texts,
    effect: "as `inclusionSuffixes` of the ProxyConfig's `proxyStatsMatcher`",
  }),
  statsInclusionRegexps: entry({
    name: "sidecar.istio.io/statsInclusionRegexps",
    type: "texts",
    parse: parseRegexes,
    effect: "as `inclusionRegexps` of the ProxyConfig's `proxyStatsMatcher`",
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
  mergeMetrics: entry({
    name: "prometheus.istio.io/merge-metrics",
    type: "true or false",
    parse: value.parseBoolean,
    fallback: "`true`",
    effect:
      "whether `prometheus.io/…` annotations lead to the metrics of proxy and app in one answer; else they stay as they are",
  }),
} as const;

/** Envoy would refuse to start with one that is none. */
function parseRegexes(text: string, source: string): readonly string[] {
  const regexes = texts(text, source);
  const tooMany = regexesProblem(regexes);
  if (tooMany !== null) throw new TrysailError("invalid-argument", `${source}: ${tooMany}`);
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

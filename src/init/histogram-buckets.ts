import type { JsonObject } from "@bufbuild/protobuf";
import type { HistogramBucketSettingsJson } from "../gen/envoy/config/metrics/v3/stats_pb.ts";
import { TrysailError } from "../platform/errors.ts";

const ANNOTATION = "sidecar.istio.io/statsHistogramBuckets";

/**
 * The annotation's bounds, by the prefix of the histograms' names, as `{"PREFIX": [1, 5]}`; none where it is not set.
 *
 * @throws TrysailError `failed-precondition` where it is of another form, which the webhook would have refused.
 */
export function histogramBuckets(annotations: Readonly<Record<string, string>>): HistogramBucketSettingsJson[] {
  const text = annotations[ANNOTATION];
  if (text === undefined) return [];
  return Object.entries(parse(text))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([prefix, bounds]) => {
      if (!Array.isArray(bounds)) throw unreadable();
      const buckets = bounds.filter((bound) => typeof bound === "number");
      if (buckets.length < bounds.length) throw unreadable();
      return { match: { prefix }, buckets };
    });
}

function parse(text: string): JsonObject {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable();
  }
}

function unreadable(): TrysailError {
  return new TrysailError("failed-precondition", `the annotation ${ANNOTATION} is not JSON such as {"PREFIX": [1, 5]}`);
}

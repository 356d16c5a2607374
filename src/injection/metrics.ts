import { parseGoBoolean } from "../platform/go-boolean.ts";
import { type AppMetrics, PROXY_PORT } from "./pod-contract.ts";

/** What becomes of the annotations by which Prometheus finds a pod's metrics. */
export interface MetricsPlan {
  /** In place of the pod's own. */
  readonly annotations: Readonly<Record<string, string>>;
  /** What the app has, to be served together with what the proxy has; undefined where it says nothing about any. */
  readonly app: AppMetrics | undefined;
  /** Sentences for whoever creates the pod. */
  readonly warnings: readonly string[];
}

/**
 * Prometheus scrapes a pod in one place. There the proxy answers with its metrics and the app's, which it fetches past
 * the rules, so that this works under strict mTLS too. A pod that is not to be scraped, or says what cannot be read, is
 * left alone; one that only says where counts as one to be scraped, as in Istio. https://istio.io/latest/docs/ops/integrations/prometheus/#option-1-metrics-merging
 */
export function planMetrics(
  annotations: Readonly<Record<string, string>>,
  mergedPort: number = PROXY_PORT.mergedMetrics,
): MetricsPlan {
  const merged = { ...NO_METRICS, annotations: scrapedAt(mergedPort) };
  if (parseGoBoolean(annotations[SCRAPE] ?? "") === false) return NO_METRICS;
  if (![SCRAPE, PORT, PATH].some((name) => Object.hasOwn(annotations, name))) return merged;
  const { [PORT]: port = "80", [PATH]: path = "/metrics", [SCHEME]: scheme = "http" } = annotations;
  // Injected already, or written for a gateway.
  if ([mergedPort, PROXY_PORT.metrics].map(String).includes(port)) return NO_METRICS;
  const bad = badAnnotation(port, path, scheme);
  if (bad !== undefined) {
    const warning = `annotation ${bad} cannot be read, so the pod's prometheus.io annotations stay and its proxy's metrics are not joined to the app's`;
    return { ...NO_METRICS, warnings: [warning] };
  }
  return {
    annotations: { ...merged.annotations, ...(annotations[SCHEME] === undefined ? {} : { [SCHEME]: "http" }) },
    app: {
      port: Number(port),
      path: path.startsWith("/") ? path : `/${path}`,
      scheme: scheme === "https" ? "https" : "http",
    },
    warnings: [],
  };
}

const [SCRAPE, PORT, PATH, SCHEME] = [
  "prometheus.io/scrape",
  "prometheus.io/port",
  "prometheus.io/path",
  "prometheus.io/scheme",
] as const;

function scrapedAt(port: number): MetricsPlan["annotations"] {
  return { [SCRAPE]: "true", [PORT]: String(port), [PATH]: "/stats/prometheus" };
}

/** Where the annotations are not to be touched. */
export const NO_METRICS: MetricsPlan = { annotations: {}, app: undefined, warnings: [] };

function badAnnotation(port: string, path: string, scheme: string): string | undefined {
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) return PORT;
  // What may stand in the first line of a request.
  if (path.length > 2048 || !/^[!-~]*$/.test(path)) return PATH;
  return scheme === "http" || scheme === "https" ? undefined : SCHEME;
}

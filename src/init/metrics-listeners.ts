import type { ListenerJson } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import type { RouteJson } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { GzipSchema } from "../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.ts";
import type { CompressorSchema } from "../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.ts";
import type { HttpFilterJson } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { AppMetrics } from "../injection/pod-contract.ts";
import { socketAddress } from "./address.ts";
import type { AppAddress } from "./app-address.ts";
import { appMetricsFilter, appMetricsRoute } from "./app-metrics.ts";
import { forwardedRoute, localListener } from "./local-listener.ts";
import { packed } from "./packed.ts";

export interface MetricsListenersInput {
  /** Address to listen at. */
  readonly bindTo: string;
  readonly ports: { readonly metrics: number; readonly mergedMetrics: number };
  readonly app: AppAddress;
  /** Where the app has metrics of its own, if it says so. */
  readonly appMetrics: AppMetrics | undefined;
  /** What the status port answers, which Istio's agent answers beside the metrics. */
  readonly health: { readonly routes: readonly RouteJson[]; readonly filters: readonly HttpFilterJson[] };
  /** For those who accept gzip; by default they are, as in Istio. */
  readonly isCompressed: boolean;
}

/** Where Prometheus finds the proxy's metrics and, where the app has some, both parties' in one answer. */
export function metricsListeners(input: MetricsListenersInput): ListenerJson[] {
  const { bindTo, ports, app, appMetrics, health, isCompressed } = input;
  const filters = isCompressed ? [gzip] : [];
  const own = forwardedRoute({
    path: "/stats/prometheus",
    to: "/stats/prometheus",
    cluster: "prometheus_stats",
    timeoutSeconds: 30,
  });
  const [merged, mergedFilters] =
    appMetrics === undefined ? [own, filters] : [appMetricsRoute(appMetrics, app), [...filters, appMetricsFilter()]];
  return [
    localListener("metrics", socketAddress(bindTo, ports.metrics), [own], filters),
    localListener(
      "merged-metrics",
      socketAddress(bindTo, ports.mergedMetrics),
      [merged, ...health.routes],
      [...health.filters, ...mergedFilters],
    ),
  ];
}

const gzip: HttpFilterJson = {
  name: "envoy.filters.http.compressor",
  typedConfig: packed<typeof CompressorSchema>("envoy.extensions.filters.http.compressor.v3.Compressor", {
    compressorLibrary: {
      name: "gzip",
      typedConfig: packed<typeof GzipSchema>("envoy.extensions.compression.gzip.compressor.v3.Gzip", {}),
    },
  }),
};

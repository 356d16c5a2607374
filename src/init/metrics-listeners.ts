import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { Listener } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import type { Route } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { GzipSchema } from "../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.ts";
import { CompressorSchema } from "../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { AppMetrics } from "../injection/pod-contract.ts";
import { socketAddress } from "./address.ts";
import type { AppAddress } from "./app-address.ts";
import { appMetricsFilter, appMetricsRoute } from "./app-metrics.ts";
import { forwardedRoute, localListener } from "./local-listener.ts";

export interface MetricsListenersInput {
  /** Address to listen at. */
  readonly bindTo: string;
  readonly ports: { readonly metrics: number; readonly mergedMetrics: number };
  readonly app: AppAddress;
  /** Where the app has metrics of its own, if it says so. */
  readonly appMetrics: AppMetrics | undefined;
  /** What the status port answers, which Istio's agent answers beside the metrics. */
  readonly health: { readonly routes: readonly Route[]; readonly filters: readonly HttpFilter[] };
  /** For those who accept gzip; by default they are, as in Istio. */
  readonly isCompressed: boolean;
}

/** Where Prometheus finds the proxy's metrics and, where the app has some, both parties' in one answer. */
export function metricsListeners(input: MetricsListenersInput): Listener[] {
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

const gzip: HttpFilter = create(HttpFilterSchema, {
  name: "envoy.filters.http.compressor",
  configType: {
    case: "typedConfig",
    value: anyPack(
      CompressorSchema,
      create(CompressorSchema, {
        compressorLibrary: {
          name: "gzip",
          typedConfig: anyPack(GzipSchema, create(GzipSchema)),
        },
      }),
    ),
  },
});

import type { BootstrapJson } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import type { ClusterJson } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { MetricsServiceConfigSchema } from "../gen/envoy/config/metrics/v3/metrics_service_pb.ts";
import type { StatsdSinkSchema } from "../gen/envoy/config/metrics/v3/stats_pb.ts";
import type { DatadogConfigSchema } from "../gen/envoy/config/trace/v3/datadog_pb.ts";
import type { ZipkinConfigSchema } from "../gen/envoy/config/trace/v3/zipkin_pb.ts";
import { socketAddress } from "./address.ts";
import type { BootstrapConfig } from "./bootstrap-config.ts";
import { packed } from "./packed.ts";
import { parseHostAndPort, remoteServiceCluster } from "./remote-service.ts";

/** Where the proxy reports to by itself: traces, metrics, access logs. The names of the clusters are Istio's. */
export interface Reporting {
  readonly clusters: ClusterJson[];
  readonly bootstrap: Pick<BootstrapJson, "statsSinks" | "tracing">;
}

/** @throws TrysailError `invalid-argument` naming the field of ProxyConfig that is no address. */
export function buildReporting(config: BootstrapConfig, nodeCluster: string): Reporting {
  const { tracing, statsdUdpAddress, envoyMetricsService: metrics, envoyAccessLogService: logs } = config;
  const zipkin = tracing?.zipkin?.address;
  const datadog = tracing?.datadog?.address;
  const tls = tracing?.tlsSettings;
  return {
    clusters: [
      ...cluster("zipkin", "tracing.zipkin.address", zipkin, tls, false),
      ...cluster("datadog_agent", "tracing.datadog.address", datadog, tls, false),
      ...cluster("envoy_metrics_service", "envoyMetricsService.address", metrics?.address, metrics?.tlsSettings, true),
      ...cluster("envoy_accesslog_service", "envoyAccessLogService.address", logs?.address, logs?.tlsSettings, true),
    ],
    bootstrap: {
      statsSinks: [
        ...(statsdUdpAddress ? [statsd(statsdUdpAddress)] : []),
        ...(metrics?.address ? [metricsService] : []),
      ],
      ...(zipkin ? { tracing: { http: zipkinProvider(zipkin) } } : {}),
      ...(datadog && !zipkin ? { tracing: { http: datadogProvider(nodeCluster) } } : {}),
    },
  };
}

type Tls = Parameters<typeof remoteServiceCluster>[0]["tls"];

function cluster(name: string, field: string, address: string | undefined, tls: Tls, isGrpc: boolean): ClusterJson[] {
  return address ? [remoteServiceCluster({ name, field, address, tls, isGrpc })] : [];
}

function statsd(statsdUdpAddress: string) {
  const { host, port } = parseHostAndPort(statsdUdpAddress, "statsdUdpAddress");
  const address = socketAddress(host, port);
  return {
    name: "envoy.stat_sinks.statsd",
    typedConfig: packed<typeof StatsdSinkSchema>("envoy.config.metrics.v3.StatsdSink", { address }),
  };
}

const metricsService = {
  name: "envoy.stat_sinks.metrics_service",
  typedConfig: packed<typeof MetricsServiceConfigSchema>("envoy.config.metrics.v3.MetricsServiceConfig", {
    transportApiVersion: "V3",
    grpcService: { envoyGrpc: { clusterName: "envoy_metrics_service" } },
  }),
};

function zipkinProvider(address: string) {
  const typedConfig = packed<typeof ZipkinConfigSchema>("envoy.config.trace.v3.ZipkinConfig", {
    collectorCluster: "zipkin",
    collectorEndpoint: "/api/v2/spans",
    collectorEndpointVersion: "HTTP_JSON",
    collectorHostname: parseHostAndPort(address, "tracing.zipkin.address").host,
    traceId128bit: true,
    // A client and the server it calls are two spans, as the sidecars of both report.
    sharedSpanContext: false,
  });
  return { name: "envoy.tracers.zipkin", typedConfig };
}

function datadogProvider(serviceName: string) {
  const typedConfig = packed<typeof DatadogConfigSchema>("envoy.config.trace.v3.DatadogConfig", {
    collectorCluster: "datadog_agent",
    serviceName,
  });
  return { name: "envoy.tracers.datadog", typedConfig };
}

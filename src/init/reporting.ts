import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { BootstrapSchema } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import type { Cluster } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ApiVersion } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import { MetricsServiceConfigSchema } from "../gen/envoy/config/metrics/v3/metrics_service_pb.ts";
import { StatsdSinkSchema } from "../gen/envoy/config/metrics/v3/stats_pb.ts";
import { DatadogConfigSchema } from "../gen/envoy/config/trace/v3/datadog_pb.ts";
import { ZipkinConfig_CollectorEndpointVersion, ZipkinConfigSchema } from "../gen/envoy/config/trace/v3/zipkin_pb.ts";
import { socketAddress } from "./address.ts";
import type { BootstrapConfig } from "./bootstrap-config.ts";
import { parseHostAndPort, remoteServiceCluster } from "./remote-service.ts";

/** Where the proxy reports to by itself: traces, metrics, access logs. The names of the clusters are Istio's. */
export interface Reporting {
  readonly clusters: Cluster[];
  readonly bootstrap: Pick<MessageInitShape<typeof BootstrapSchema>, "statsSinks" | "tracing">;
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

function cluster(name: string, field: string, address: string | undefined, tls: Tls, isGrpc: boolean): Cluster[] {
  return address ? [remoteServiceCluster({ name, field, address, tls, isGrpc })] : [];
}

function statsd(address: string) {
  const { host, port } = parseHostAndPort(address, "statsdUdpAddress");
  const sink = create(StatsdSinkSchema, { statsdSpecifier: { case: "address", value: socketAddress(host, port) } });
  return {
    name: "envoy.stat_sinks.statsd",
    configType: { case: "typedConfig" as const, value: anyPack(StatsdSinkSchema, sink) },
  };
}

const metricsService = {
  name: "envoy.stat_sinks.metrics_service",
  configType: {
    case: "typedConfig" as const,
    value: anyPack(
      MetricsServiceConfigSchema,
      create(MetricsServiceConfigSchema, {
        transportApiVersion: ApiVersion.V3,
        grpcService: { targetSpecifier: { case: "envoyGrpc", value: { clusterName: "envoy_metrics_service" } } },
      }),
    ),
  },
};

function zipkinProvider(address: string) {
  const config = create(ZipkinConfigSchema, {
    collectorCluster: "zipkin",
    collectorEndpoint: "/api/v2/spans",
    collectorEndpointVersion: ZipkinConfig_CollectorEndpointVersion.HTTP_JSON,
    collectorHostname: parseHostAndPort(address, "tracing.zipkin.address").host,
    traceId128bit: true,
    // A client and the server it calls are two spans, as the sidecars of both report.
    sharedSpanContext: false,
  });
  return {
    name: "envoy.tracers.zipkin",
    configType: { case: "typedConfig" as const, value: anyPack(ZipkinConfigSchema, config) },
  };
}

function datadogProvider(serviceName: string) {
  const config = create(DatadogConfigSchema, { collectorCluster: "datadog_agent", serviceName });
  return {
    name: "envoy.tracers.datadog",
    configType: { case: "typedConfig" as const, value: anyPack(DatadogConfigSchema, config) },
  };
}

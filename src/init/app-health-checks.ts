import type { ClusterJson } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { HealthCheckJson } from "../gen/envoy/config/core/v3/health_check_pb.ts";
import type { HealthCheckSchema as HealthCheckFilterSchema } from "../gen/envoy/extensions/filters/http/health_check/v3/health_check_pb.ts";
import type { HttpFilterJson } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { AppGrpcProber, AppProbers, AppTcpProber } from "../injection/pod-contract.ts";
import { type AppAddress, hostAndPort } from "./app-address.ts";
import { loopbackCluster } from "./loopback-cluster.ts";
import { packed } from "./packed.ts";

/**
 * TCP and gRPC probes of the app. Envoy cannot ask these on demand over HTTP, so it asks by itself, as health checks
 * of a cluster that has no other use, and tells what the last one said: 200 for a healthy app, else 503.
 */
export function appHealthCheckFilters(probers: AppProbers): HttpFilterJson[] {
  return checkedProbers(probers).map(([path, prober]) => ({
    name: `envoy.filters.http.health_check ${path}`,
    typedConfig: packed<typeof HealthCheckFilterSchema>("envoy.extensions.filters.http.health_check.v3.HealthCheck", {
      passThroughMode: false,
      clusterMinHealthyPercentages: { [clusterName(prober)]: { value: 100 } },
      headers: [
        { name: ":path", stringMatch: { exact: path } },
        { name: ":method", stringMatch: { exact: "GET" } },
      ],
    }),
  }));
}

export function appHealthCheckClusters(probers: AppProbers, app: AppAddress): ClusterJson[] {
  const byCluster = Map.groupBy(checkedProbers(probers), ([, prober]) => clusterName(prober));
  return [...byCluster].flatMap(([name, group]) => {
    const intervalMs = Math.min(...group.map(([, prober]) => checkIntervalMs(prober)));
    const [, prober] = group[0] ?? [];
    if (prober === undefined) return [];
    const port = portOf(prober);
    const healthCheck = buildHealthCheck(prober, intervalMs, hostAndPort(app.address, port));
    return [loopbackCluster({ name, ...app, port, http2: "grpc" in prober, healthCheck })];
  });
}

type CheckedProber = AppTcpProber | AppGrpcProber;

/** By path, so that the same probes give the same bytes. */
function checkedProbers(probers: AppProbers): [string, CheckedProber][] {
  return Object.entries(probers)
    .flatMap(([path, prober]): [string, CheckedProber][] => ("httpGet" in prober ? [] : [[path, prober]]))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/**
 * A quarter of the probe's period and a second at most, so that what the kubelet hears is never older than that (and
 * a time-out, where the app hangs). A check costs some 50 µs of CPU in Envoy.
 */
function checkIntervalMs({ periodSeconds }: CheckedProber): number {
  return Math.min(1000, (periodSeconds || 10) * 250);
}

function buildHealthCheck(prober: CheckedProber, intervalMs: number, authority: string): HealthCheckJson {
  const interval = `${intervalMs / 1000}s`;
  return {
    timeout: `${timeoutSeconds(prober)}s`,
    interval,
    // Nothing is ever sent to this cluster, and by default Envoy checks such a one once a minute.
    noTrafficInterval: interval,
    noTrafficHealthyInterval: interval,
    // Thresholds are the kubelet's to count.
    healthyThreshold: 1,
    unhealthyThreshold: 1,
    reuseConnection: false,
    ...("grpc" in prober
      ? { grpcHealthCheck: { serviceName: prober.grpc.service ?? "", authority } }
      : { tcpHealthCheck: {} }),
  };
}

/** Probes that ask the same share their answer. */
function clusterName(prober: CheckedProber): string {
  const [kind, service] = "grpc" in prober ? ["grpc", prober.grpc.service ?? ""] : ["tcp", ""];
  const ofService = service === "" ? "" : `-${service}`;
  return `app-health-${portOf(prober)}-${kind}${ofService}-${timeoutSeconds(prober)}s`;
}

function portOf(prober: CheckedProber): number {
  return "grpc" in prober ? prober.grpc.port : prober.tcpSocket.port;
}

/** Kubernetes' own default is one second. */
function timeoutSeconds(prober: CheckedProber): number {
  return prober.timeoutSeconds || 1;
}

import type { JsonObject } from "@bufbuild/protobuf";
import type { BootstrapJson } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import { durationSeconds } from "../injection/duration-seconds.ts";
import type { AppMetrics, AppProbers } from "../injection/pod-contract.ts";
import { MAX_REGEX_SIZE } from "../mesh/regex-size.ts";
import { socketAddress } from "./address.ts";
import { appAddress } from "./app-address.ts";
import { appHealthCheckClusters, appHealthCheckFilters } from "./app-health-checks.ts";
import { appMetricsCluster } from "./app-metrics.ts";
import { appProbeClusters, appProbeRoutes } from "./app-probes.ts";
import type { BootstrapConfig } from "./bootstrap-config.ts";
import { type DiscoveryInput, discoveryResources } from "./discovery.ts";
import { forwardedRoute, localListener } from "./local-listener.ts";
import { loopbackCluster } from "./loopback-cluster.ts";
import { mergeBootstrap } from "./merge-bootstrap.ts";
import { metricsListeners } from "./metrics-listeners.ts";
import { type NodeIdentity, nodeCluster, nodeId, nodeLocality, nodeMetadata } from "./node-identity.ts";
import { overloadManager } from "./overload-manager.ts";
import { buildReporting } from "./reporting.ts";
import { statsConfig } from "./stats-config.ts";

export interface BootstrapInput {
  readonly node: NodeIdentity;
  readonly proxyConfig?: BootstrapConfig;
  /** Of the proxy's container. */
  readonly memoryLimitBytes?: number;
  readonly discovery: DiscoveryInput;
  readonly probers: AppProbers;
  readonly appMetrics?: AppMetrics;
  /** `PROXY_PORT`, but in tests that share one machine. */
  readonly ports: Readonly<Record<"admin" | "status" | "metrics" | "mergedMetrics", number>>;
}

/**
 * What Envoy starts with: who it is, where its configuration comes from, and the listeners that need none,
 * for health and for metrics. Those listen only once the first clusters and listeners have come, so that a pod
 * cannot be ready before its proxy is.
 *
 * @throws TrysailError `invalid-argument` naming the field of ProxyConfig that cannot be used.
 */
export function buildBootstrap(input: BootstrapInput): BootstrapJson {
  const { node, proxyConfig = {}, memoryLimitBytes, discovery, probers, appMetrics, ports } = input;
  const reporting = buildReporting(proxyConfig, nodeCluster(node, proxyConfig));
  const bindTo = node.ipAddress.includes(":") ? "::" : "0.0.0.0";
  const app = appAddress(node.ipAddress, node.metadata.INTERCEPTION_MODE !== "NONE");
  const readiness = forwardedRoute({ path: "/healthz/ready", to: "/ready", cluster: "agent", timeoutSeconds: 1 });
  const health = { routes: [readiness, ...appProbeRoutes(probers, app)], filters: appHealthCheckFilters(probers) };
  return {
    node: {
      id: nodeId(node),
      cluster: nodeCluster(node, proxyConfig),
      metadata: nodeMetadata(node),
      ...localityOf(node),
    },
    // Every stats name and runtime switch can be read here, and the proxy stopped: for the pod's own processes alone.
    admin: { address: socketAddress("127.0.0.1", ports.admin) },
    dynamicResources: discoveryResources(discovery),
    staticResources: {
      listeners: [
        localListener("status", socketAddress(bindTo, ports.status), health.routes, health.filters),
        ...metricsListeners({
          ...{ bindTo, ports, app, appMetrics, health },
          isCompressed: proxyConfig.statsCompression ?? true,
        }),
      ],
      clusters: [
        loopbackCluster({ name: "agent", address: "127.0.0.1", port: ports.admin }),
        loopbackCluster({ name: "prometheus_stats", address: "127.0.0.1", port: ports.admin }),
        ...(appMetrics === undefined ? [] : [appMetricsCluster(appMetrics, app)]),
        ...appProbeClusters(probers, app),
        ...appHealthCheckClusters(probers, app),
        ...reporting.clusters,
      ],
    },
    ...reporting.bootstrap,
    statsConfig: statsConfig(proxyConfig, node.domainSuffix, node.annotations),
    ...(proxyConfig.statsEvictionInterval === undefined
      ? {}
      : { statsEvictionInterval: `${durationSeconds(proxyConfig.statsEvictionInterval)}s` }),
    overloadManager: overloadManager(memoryLimitBytes),
    layeredRuntime: { layers: [{ name: "trysail", staticLayer: runtimeValues(proxyConfig) }] },
  };
}

function runtimeValues({ runtimeValues = {} }: BootstrapConfig): JsonObject {
  return {
    // A regex that compiles to more is refused: it would cost every request.
    "re2.max_program_size.error_level": MAX_REGEX_SIZE,
    // What the metrics' filter may hold of one answer, in bytes.
    "http.async_response_buffer_limit": 33_554_432,
    ...Object.fromEntries(Object.entries(runtimeValues).map(([name, value]) => [name, typed(value)])),
  };
}

/** Envoy takes a number or a switch only as such, and annotations are full of texts. */
function typed(value: string | number | boolean): string | number | boolean {
  if (value === "true" || value === "false") return value === "true";
  return typeof value === "string" && /^-?[0-9]{1,15}$/.test(value) ? Number(value) : value;
}

/** The bootstrap, with the user's own fields merged in, as the JSON that `envoy -c` reads. */
export function printBootstrap(bootstrap: BootstrapJson, override: JsonObject = {}): string {
  return `${JSON.stringify(mergeBootstrap(bootstrap, override), null, 1)}\n`;
}

function localityOf(node: NodeIdentity) {
  const locality = nodeLocality(node);
  return locality === undefined ? {} : { locality };
}

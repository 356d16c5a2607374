/**
 * What an injected pod's parts agree on: the webhook writes it into the pod, `trysail init` reads it there, and the
 * translator listens where the rules send traffic. The names are Istio's, so that tools that know them keep working.
 */

/** Envoy's user and group. Their traffic is never redirected; everything else that leaves the pod is. */
export const PROXY_ID = 1337;

export const PROXY_PORT = {
  admin: 15000,
  outbound: 15001,
  inbound: 15006,
  /** Reserved by Istio for tunnelled traffic (HBONE); terminated by its own listener, so never redirected. */
  tunnel: 15008,
  /** Istio's agent's: the proxy's and the app's metrics in one answer, and what is on `status`. A pod may choose another. */
  mergedMetrics: 15020,
  status: 15021,
  metrics: 15090,
} as const;

/** What a pod may say instead of `PROXY_PORT.mergedMetrics`; 0 and the proxy's two ports of that kind say nothing. */
export function chosenStatusPort({ statusPort = 0 }: { readonly statusPort?: number }): number | undefined {
  const says: readonly number[] = [0, PROXY_PORT.status, PROXY_PORT.mergedMetrics];
  return says.includes(statusPort) ? undefined : statusPort;
}

export const POD_PATH = {
  bootstrap: "/etc/istio/proxy/envoy.json",
  /** Of the second Envoys that are the hooks of an image without a shell. */
  postStart: "/etc/istio/proxy/post-start.json",
  preStop: "/etc/istio/proxy/pre-stop.json",
  podInfo: "/etc/istio/pod",
  /** The user's own, merged over the bootstrap. */
  override: "/etc/istio/custom-bootstrap/custom_bootstrap.json",
  token: "/var/run/secrets/tokens/istio-token",
  rootCert: "/var/run/secrets/istio/root-cert.pem",
} as const;

export const CONTAINER_NAME = { init: "istio-init", proxy: "istio-proxy" } as const;

/** The environment variable of the init container that carries `AppProbers` as JSON. */
export const APP_PROBERS_ENV = "ISTIO_KUBE_APP_PROBERS";

/** The environment variable of the init container that carries `AppMetrics` as JSON. */
export const APP_METRICS_ENV = "ISTIO_PROMETHEUS_ANNOTATIONS";

/** Where the app's annotations say that its own metrics are. */
export interface AppMetrics {
  readonly port: number;
  /** With its query, if any. */
  readonly path: string;
  readonly scheme: "http" | "https";
}

/** The environment variable of the init container that carries `LifecycleTasks` as JSON, where the image has no shell. */
export const LIFECYCLE_TASKS_ENV = "PROXY_LIFECYCLE_TASKS";

export interface LifecycleTasks {
  readonly postStart?: LifecycleTask;
  readonly preStop: LifecycleTask;
}

/**
 * `wait` lasts until the proxy is ready. `drain` has callers go elsewhere, and lasts as it says. A gateway's callers are those
 * of all of its listeners, and a sidecar's those of its inbound ones: its own app goes on.
 */
export type LifecycleTask =
  | { readonly kind: "wait" }
  | {
      readonly kind: "drain";
      readonly holdSeconds: number;
      readonly untilIdle: boolean;
      readonly isGateway?: boolean;
    };

/** What is asked of Envoy's administration port. `skip_exit` keeps listeners open for those that come late. */
export function drainPath({ isGateway = false }: { readonly isGateway?: boolean }): string {
  return `/drain_listeners?graceful&skip_exit${isGateway ? "" : "&inboundonly"}`;
}

/** Paths of the status port: of probes, `/app-health/CONTAINER/readyz` and so on, and of lifecycle hooks. */
export const APP_PATH = { health: "/app-health/", lifecycle: "/app-lifecycle/" } as const;

/** The original probes and hooks by the path under which the status port answers for them: Istio's shape. */
export type AppProbers = Readonly<Record<string, AppProber>>;

export type AppProber = AppHttpProber | AppTcpProber | AppGrpcProber;

interface ProberTiming {
  readonly timeoutSeconds?: number;
  readonly periodSeconds?: number;
}

export interface AppHttpProber extends ProberTiming {
  readonly httpGet: {
    readonly path?: string;
    readonly port: number;
    readonly scheme?: string;
    readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
  };
}

export interface AppTcpProber extends ProberTiming {
  readonly tcpSocket: { readonly port: number };
}

export interface AppGrpcProber extends ProberTiming {
  /** Of `grpc.health.v1.Health`; the whole server where there is no service. */
  readonly grpc: { readonly port: number; readonly service?: string };
}

/** Which connections of the pod pass through Envoy. */
export interface InterceptionSettings {
  readonly includeInboundPorts: "*" | readonly number[];
  readonly excludeInboundPorts: readonly number[];
  /** Redirected whatever their destination address, unless that is excluded. */
  readonly includeOutboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
  /** CIDR ranges of either address family. */
  readonly includeOutboundRanges: "*" | readonly string[];
  readonly excludeOutboundRanges: readonly string[];
}

export const interceptEverything: InterceptionSettings = {
  includeInboundPorts: "*",
  excludeInboundPorts: [],
  includeOutboundPorts: [],
  excludeOutboundPorts: [],
  includeOutboundRanges: "*",
  excludeOutboundRanges: [],
};

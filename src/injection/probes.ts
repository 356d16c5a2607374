import type { Container, Lifecycle, PodManifest, Probe } from "./pod.ts";
import { APP_PATH, type AppProber, type AppProbers, CONTAINER_NAME, PROXY_PORT } from "./pod-contract.ts";

/**
 * Probes and lifecycle hooks of the app, moved to the sidecar's status port: the kubelet has no certificate, so under
 * strict mTLS it could not reach the app's own port. There Envoy answers with what the app answers; TCP and gRPC
 * probes become HTTP ones, because Envoy tells over HTTP what its own TCP and gRPC checks of the app say.
 */
export interface ProbePlan {
  readonly rewrites: readonly ProbeRewrite[];
  /** What the status port needs to know to ask the app. */
  readonly probers: AppProbers;
}

/** What a container's field becomes. */
export type ProbeRewrite =
  | { readonly container: string; readonly field: ProbeField; readonly value: Probe }
  | { readonly container: string; readonly field: "lifecycle"; readonly value: Lifecycle };

type ProbeField = (typeof probeFields)[number]["field"];

const probeFields = [
  { field: "readinessProbe", suffix: "readyz" },
  { field: "livenessProbe", suffix: "livez" },
  { field: "startupProbe", suffix: "startupz" },
] as const;

const hookFields = [
  { field: "postStart", suffix: "poststartz" },
  { field: "preStop", suffix: "prestopz" },
] as const;

/** Nothing the kubelet counts by (delays, periods, thresholds, time-outs) changes. */
export function planProbes(pod: PodManifest, statusPort: number = PROXY_PORT.status): ProbePlan {
  const rewrites: ProbeRewrite[] = [];
  const probers: Record<string, AppProber> = {};
  for (const container of appContainers(pod)) {
    for (const { field, suffix } of probeFields) {
      const probe = container[field];
      const prober = probe && appProber(probe, container, statusPort);
      if (!probe || !prober) continue;
      const path = `${APP_PATH.health}${container.name}/${suffix}`;
      probers[path] = prober;
      rewrites.push({ container: container.name, field, value: movedProbe(probe, path, statusPort) });
    }
    const { lifecycle, hooks } = planHooks(container, statusPort);
    if (lifecycle === null) continue;
    Object.assign(probers, hooks);
    rewrites.push({ container: container.name, field: "lifecycle", value: lifecycle });
  }
  return { rewrites, probers };
}

/** Among init containers, only those that stay (sidecars of the user's own) may have probes and hooks. */
function appContainers(pod: PodManifest): Container[] {
  const own: readonly string[] = Object.values(CONTAINER_NAME);
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers].filter(({ name }) => !own.includes(name));
}

function planHooks(container: Container, statusPort: number): { lifecycle: Lifecycle | null; hooks: AppProbers } {
  const hooks: Record<string, AppProber> = {};
  const moved: Lifecycle = {};
  for (const { field, suffix } of hookFields) {
    const handler = container.lifecycle?.[field];
    const target = handler?.httpGet && httpTarget(handler.httpGet, container, statusPort);
    if (!handler?.httpGet || !target) continue;
    const path = `${APP_PATH.lifecycle}${container.name}/${suffix}`;
    hooks[path] = { httpGet: target };
    moved[field] = { ...handler, httpGet: movedGet(handler.httpGet, path, statusPort) };
  }
  return { lifecycle: Object.keys(moved).length === 0 ? null : { ...container.lifecycle, ...moved }, hooks };
}

/** Null for probes that stay as they are: exec, aimed at another host, or at a port that there is not. */
function appProber(probe: Probe, container: Container, statusPort: number): AppProber | null {
  const { timeoutSeconds, periodSeconds } = probe;
  const timeout = timeoutSeconds == null ? {} : { timeoutSeconds };
  if (probe.httpGet) {
    const httpGet = httpTarget(probe.httpGet, container, statusPort);
    return httpGet && { httpGet, ...timeout };
  }
  // Only what Envoy asks by itself needs to be asked in time with the kubelet.
  const timing = { ...timeout, ...(periodSeconds == null ? {} : { periodSeconds }) };
  if (probe.tcpSocket && !probe.tcpSocket.host) {
    const port = resolvePort(probe.tcpSocket.port, container, statusPort);
    return port === null ? null : { tcpSocket: { port }, ...timing };
  }
  if (probe.grpc) {
    const { service } = probe.grpc;
    const port = resolvePort(probe.grpc.port, container, statusPort);
    if (port === null) return null;
    return { grpc: service ? { port, service } : { port }, ...timing };
  }
  return null;
}

type HttpGet = NonNullable<Probe["httpGet"]>;

function httpTarget({ host, path, port, scheme, httpHeaders }: HttpGet, container: Container, statusPort: number) {
  const resolved = host ? null : resolvePort(port, container, statusPort);
  if (resolved === null) return null;
  return {
    ...(path == null ? {} : { path }),
    port: resolved,
    ...(scheme == null ? {} : { scheme }),
    ...(httpHeaders ? { httpHeaders } : {}),
  };
}

/**
 * Null also for the status ports, which answer the kubelet themselves, and for a number that is no port, so that Kubernetes
 * says what is wrong with it.
 */
function resolvePort(port: number | string, container: Container, statusPort: number): number | null {
  const resolved =
    typeof port === "number" || /^[0-9]+$/.test(port)
      ? Number(port)
      : (container.ports?.find(({ name }) => name === port)?.containerPort ?? 0);
  const isStatus = resolved === PROXY_PORT.status || resolved === statusPort;
  return isStatus || resolved < 1 || resolved > 65_535 ? null : resolved;
}

function movedProbe({ tcpSocket: _, grpc: __, httpGet, ...timing }: Probe, path: string, port: number): Probe {
  return { ...timing, httpGet: httpGet ? movedGet(httpGet, path, port) : { path, port } };
}

/** Headers stay: the kubelet keeps sending them and Envoy passes them on. The status port itself is plain HTTP. */
function movedGet(httpGet: HttpGet, path: string, port: number): HttpGet {
  const scheme = httpGet.scheme == null ? {} : { scheme: "HTTP" };
  return { ...httpGet, path, port, ...scheme };
}

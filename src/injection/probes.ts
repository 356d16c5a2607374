import type { Container, PodManifest, Probe } from "./pod.ts";
import { type AppProber, type AppProbers, PROXY_PORT } from "./pod-contract.ts";

/**
 * HTTP probes of the app, moved to the sidecar's status port: the kubelet has no certificate, so under strict mTLS
 * it could not reach the app's own port. Envoy answers with what the app answers.
 */
export interface ProbePlan {
  readonly rewrites: readonly ProbeRewrite[];
  /** What the status port needs to know to ask the app. */
  readonly probers: AppProbers;
}

export interface ProbeRewrite {
  readonly container: string;
  readonly field: ProbeField;
  readonly probe: Probe;
}

type ProbeField = (typeof fields)[number]["field"];

const fields = [
  { field: "readinessProbe", suffix: "readyz" },
  { field: "livenessProbe", suffix: "livez" },
  { field: "startupProbe", suffix: "startupz" },
] as const;

export function planProbes(pod: PodManifest): ProbePlan {
  const rewrites: ProbeRewrite[] = [];
  const probers: Record<string, AppProber> = {};
  // Only init containers that stay (sidecars of the user's own) may have probes.
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    for (const { field, suffix } of fields) {
      const probe = container[field];
      const prober = probe && appProber(probe, container);
      if (!probe?.httpGet || !prober) continue;
      const path = `/app-health/${container.name}/${suffix}`;
      probers[path] = prober;
      rewrites.push({ container: container.name, field, probe: rewritten(probe, probe.httpGet, path) });
    }
  }
  return { rewrites, probers };
}

/** Null for probes that stay as they are: not HTTP, aimed at another host, or at a port that nobody declares. */
function appProber(probe: Probe, container: Container): AppProber | null {
  const { httpGet } = probe;
  if (!httpGet || httpGet.host) return null;
  const port = resolvePort(httpGet.port, container);
  if (port === null || port === PROXY_PORT.status) return null;
  return {
    httpGet: {
      ...(httpGet.path === undefined ? {} : { path: httpGet.path }),
      port,
      ...(httpGet.scheme === undefined ? {} : { scheme: httpGet.scheme }),
      ...(httpGet.httpHeaders ? { httpHeaders: httpGet.httpHeaders } : {}),
    },
    ...(probe.timeoutSeconds === undefined ? {} : { timeoutSeconds: probe.timeoutSeconds }),
  };
}

function resolvePort(port: number | string, container: Container): number | null {
  if (typeof port === "number") return port;
  if (/^[0-9]+$/.test(port)) return Number(port);
  return container.ports?.find(({ name }) => name === port)?.containerPort ?? null;
}

/** Headers stay: the kubelet keeps sending them and Envoy passes them on. The status port itself is plain HTTP. */
function rewritten(probe: Probe, httpGet: NonNullable<Probe["httpGet"]>, path: string): Probe {
  const scheme = httpGet.scheme === undefined ? {} : { scheme: "HTTP" };
  return { ...probe, httpGet: { ...httpGet, path, port: PROXY_PORT.status, ...scheme } };
}

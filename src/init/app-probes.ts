import type { Cluster } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { Route } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { AppProber, AppProbers } from "../injection/pod-contract.ts";
import { forwardedRoute } from "./local-listener.ts";
import { type LoopbackClusterInput, loopbackCluster } from "./loopback-cluster.ts";

/**
 * The app's own HTTP probes, asked on its behalf. Envoy connects to the pod's own address, as the kubelet would,
 * so that an app that listens on loopback alone is as unready as it would be without the mesh.
 */
export function appProbeRoutes(probers: AppProbers, podIp: string): Route[] {
  return sorted(probers).map(([path, prober]) =>
    forwardedRoute({
      path,
      to: targetPath(prober),
      cluster: clusterName(prober),
      // Kubernetes' own default is one second.
      timeoutSeconds: prober.timeoutSeconds || 1,
      ...(hasHostHeader(prober) ? {} : { host: hostAndPort(podIp, prober.httpGet.port) }),
    }),
  );
}

export function appProbeClusters(probers: AppProbers, podIp: string): Cluster[] {
  const inputs = new Map<string, LoopbackClusterInput>();
  for (const [, prober] of sorted(probers)) {
    const name = clusterName(prober);
    inputs.set(name, { name, ...target(podIp), port: prober.httpGet.port, tls: isHttps(prober) });
  }
  return [...inputs.values()].map(loopbackCluster);
}

/**
 * The interception rules let connections from 127.0.0.6 reach the app; Envoy's others to its own pod come back in
 * through the inbound listener. IPv6 has a single loopback address, so there the app is asked on that.
 */
function target(podIp: string): { address: string; source?: string } {
  return podIp.includes(":") ? { address: "::1" } : { address: podIp, source: "127.0.0.6" };
}

function clusterName(prober: AppProber): string {
  return `app-health-${prober.httpGet.port}${isHttps(prober) ? "-https" : ""}`;
}

function isHttps(prober: AppProber): boolean {
  return prober.httpGet.scheme?.toUpperCase() === "HTTPS";
}

/** A probe's path need not begin with a slash; a request's must. */
function targetPath({ httpGet: { path = "" } }: AppProber): string {
  return path.startsWith("/") ? path : `/${path}`;
}

/** The kubelet sends the probe's headers itself, and Host among them is what the app should see. */
function hasHostHeader(prober: AppProber): boolean {
  return prober.httpGet.httpHeaders?.some(({ name }) => name.toLowerCase() === "host") ?? false;
}

function hostAndPort(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** By path, so that the same probes give the same bytes. */
function sorted(probers: AppProbers): [string, AppProber][] {
  return Object.entries(probers).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

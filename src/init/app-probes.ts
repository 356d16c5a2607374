import type { ClusterJson } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { RouteJson } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { APP_PATH, type AppHttpProber, type AppProbers } from "../injection/pod-contract.ts";
import { type AppAddress, hostAndPort } from "./app-address.ts";
import { forwardedRoute } from "./local-listener.ts";
import { type LoopbackClusterInput, loopbackCluster } from "./loopback-cluster.ts";

/** The app's own HTTP probes and lifecycle hooks, asked on its behalf. */
export function appProbeRoutes(probers: AppProbers, app: AppAddress): RouteJson[] {
  return httpProbers(probers).map(([path, prober]) =>
    forwardedRoute({
      path,
      to: targetPath(prober),
      cluster: clusterName(prober),
      timeoutSeconds: timeoutSeconds(path, prober),
      ...(hasHostHeader(prober) ? {} : { host: hostAndPort(app.address, prober.httpGet.port) }),
    }),
  );
}

export function appProbeClusters(probers: AppProbers, app: AppAddress): ClusterJson[] {
  const inputs = new Map<string, LoopbackClusterInput>();
  for (const [, prober] of httpProbers(probers)) {
    const name = clusterName(prober);
    const { port } = prober.httpGet;
    inputs.set(name, { name, ...app, port, tls: isHttps(prober), oneRequestPerConnection: true });
  }
  return [...inputs.values()].map(loopbackCluster);
}

/** By path, so that the same probes give the same bytes. */
function httpProbers(probers: AppProbers): [string, AppHttpProber][] {
  return Object.entries(probers)
    .flatMap(([path, prober]): [string, AppHttpProber][] => ("httpGet" in prober ? [[path, prober]] : []))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Kubernetes gives a probe one second where nothing is said, and a hook as long as the pod has to stop. */
function timeoutSeconds(path: string, prober: AppHttpProber): number {
  return path.startsWith(APP_PATH.lifecycle) ? 0 : prober.timeoutSeconds || 1;
}

function clusterName(prober: AppHttpProber): string {
  return `app-health-${prober.httpGet.port}${isHttps(prober) ? "-https" : ""}`;
}

function isHttps(prober: AppHttpProber): boolean {
  return prober.httpGet.scheme?.toUpperCase() === "HTTPS";
}

/**
 * As the kubelet makes a request of a probe's path, which need not begin with a slash and may hold any character: what
 * stands behind `#` is not sent.
 */
function targetPath({ httpGet: { path = "" } }: AppHttpProber): string {
  const [sent = ""] = path.split("#", 1);
  const escaped = sent.toWellFormed().replaceAll(/[^!-~]/gu, (character) => encodeURIComponent(character));
  return escaped.startsWith("/") ? escaped : `/${escaped}`;
}

/** The kubelet sends the probe's headers itself, and Host among them is what the app should see. */
function hasHostHeader(prober: AppHttpProber): boolean {
  return prober.httpGet.httpHeaders?.some(({ name }) => name.toLowerCase() === "host") ?? false;
}
